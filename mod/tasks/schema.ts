/** Writes the JSON schema of the control API, made from its types and what their comments say. */
import { capture, root } from "./run.ts";

/** Where the schema lies. */
export const SCHEMA_FILE: string = `${root}/mod/control/api.schema.json`;

/** The files with types of the API, and of what they are made of. */
const SOURCES = [
  "mod/control/api_types.ts",
  "mod/control/address_types.ts",
  "mod/control/name_types.ts",
  "mod/control/doctor_types.ts",
  "mod/control/history_types.ts",
  "mod/control/traffic_report.ts",
];
const OTHERS = ["mod/mesh/snapshot.ts"];

/** A schema, or a part of one. */
type Schema = { readonly [key: string]: unknown };

/** What `deno doc --json` says of a type, as far as it is used here. */
interface DocType {
  readonly kind: string;
  readonly repr?: string;
  readonly value: unknown;
}
interface DocProperty {
  readonly name: string;
  readonly optional?: boolean;
  readonly jsDoc?: { readonly doc?: string };
  readonly tsType: DocType;
}
interface DocDefinition {
  readonly properties?: readonly DocProperty[];
  readonly extends?: readonly DocType[];
  readonly tsType?: DocType;
}
interface DocSymbol {
  readonly name: string;
  readonly declarations: readonly {
    readonly kind: string;
    readonly jsDoc?: { readonly doc?: string };
    readonly def: DocDefinition;
  }[];
}

/** The schema as text: of `status --json` as a whole, of everything else that the API knows under `$defs`. */
export async function schemaText(): Promise<string> {
  const own = await symbolsOf(SOURCES);
  const symbols = new Map([...own, ...await symbolsOf(OTHERS)].map((symbol) => [symbol.name, symbol]));
  const names = [...own.map(({ name }) => name), "ConnectionState"].filter((name) =>
    symbols.get(name)!.declarations.some(({ kind }) => kind === "interface" || kind === "typeAlias")
  );
  const definitions = [...new Set(names)].sort().map((
    name,
  ) => [name, definitionOf(symbols.get(name)!, symbols)]);
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "meshnet status --json",
    $comment: "Made by `deno task schema`. Answers of other commands are below $defs.",
    $ref: "#/$defs/StatusReport",
    $defs: Object.fromEntries(definitions),
  };
  return JSON.stringify(schema, null, 2) + "\n";
}

async function symbolsOf(files: readonly string[]): Promise<readonly DocSymbol[]> {
  const text = await capture([Deno.execPath(), "doc", "--json", ...files.map((file) => `${root}/${file}`)]);
  const { nodes } = JSON.parse(text) as {
    readonly nodes: Readonly<Record<string, { readonly symbols: readonly DocSymbol[] }>>;
  };
  return Object.values(nodes).flatMap(({ symbols }) => symbols);
}

function definitionOf(symbol: DocSymbol, symbols: ReadonlyMap<string, DocSymbol>): Schema {
  const { def, jsDoc } = symbol.declarations.find(({ kind }) =>
    kind === "interface" || kind === "typeAlias"
  )!;
  return { ...described(jsDoc), ...shapeOf(def, symbols) };
}

function shapeOf(def: DocDefinition, symbols: ReadonlyMap<string, DocSymbol>): Schema {
  return def.tsType === undefined ? objectOf(propertiesOf(def, symbols)) : schemaOf(def.tsType, symbols);
}

/** Those of an interface, with those that it takes from others. */
function propertiesOf(
  def: DocDefinition,
  symbols: ReadonlyMap<string, DocSymbol>,
): readonly (readonly [DocProperty, Schema])[] {
  const inherited = (def.extends ?? []).flatMap((type) => {
    const { typeName } = type.value as { readonly typeName: string };
    return propertiesOf(symbols.get(typeName)!.declarations[0]!.def, symbols);
  });
  return [
    ...inherited,
    ...(def.properties ?? []).map((one) => [one, schemaOf(one.tsType, symbols)] as const),
  ];
}

function objectOf(properties: readonly (readonly [DocProperty, Schema])[]): Schema {
  return {
    type: "object",
    properties: Object.fromEntries(
      properties.map(([{ jsDoc, name }, schema]) => [name, { ...described(jsDoc), ...schema }]),
    ),
    required: properties.filter(([{ optional }]) => optional !== true).map(([{ name }]) => name),
    additionalProperties: false,
  };
}

function described(jsDoc: { readonly doc?: string } | undefined): Schema {
  return jsDoc?.doc === undefined ? {} : { description: jsDoc.doc.replaceAll("\n", " ") };
}

/** The schema of a type. Throws for what no answer has used so far. */
function schemaOf(type: DocType, symbols: ReadonlyMap<string, DocSymbol>): Schema {
  const of = (one: DocType) => schemaOf(one, symbols);
  switch (type.kind) {
    case "keyword":
      return type.value === "unknown" ? {} : { type: type.value };
    case "literal":
      return {
        const: (type.value as Record<string, unknown>)[(type.value as { readonly kind: string }).kind],
      };
    case "array":
      return { type: "array", items: of(type.value as DocType) };
    case "typeOperator":
      return of((type.value as { readonly tsType: DocType }).tsType);
    case "parenthesized":
      return of(type.value as DocType);
    case "union":
      return unionOf((type.value as readonly DocType[]).map(of));
    case "typeLiteral":
      return shapeOf(type.value as DocDefinition, symbols);
    case "typeRef":
      return referenceTo(type.value as Reference, symbols);
  }
  throw new Error(`No schema for a type of kind ${type.kind}: ${type.repr}`);
}

interface Reference {
  readonly typeName: string;
  readonly typeParams?: readonly DocType[];
}

function referenceTo(
  { typeName, typeParams = [] }: Reference,
  symbols: ReadonlyMap<string, DocSymbol>,
): Schema {
  const [first, second] = typeParams;
  if (typeName === "Readonly") return schemaOf(first!, symbols);
  if (typeName === "Record") return { type: "object", additionalProperties: schemaOf(second!, symbols) };
  if (typeName === "Pick") {
    const { typeName: whole } = first!.value as Reference;
    const keys = second!.kind === "union" ? second!.value as readonly DocType[] : [second!];
    const names = keys.map((key) => schemaOf(key, symbols)["const"]);
    const def = symbols.get(whole)!.declarations[0]!.def;
    return objectOf(propertiesOf(def, symbols).filter(([{ name }]) => names.includes(name)));
  }
  if (!symbols.has(typeName)) {
    throw new Error(`No schema for the type ${typeName}: name its file in schema.ts`);
  }
  return { $ref: `#/$defs/${typeName}` };
}

/** Texts of a choice are one `enum`; a single type and null are `type: [..., "null"]`. */
function unionOf(parts: readonly Schema[]): Schema {
  const isPlain = (part: Schema) => Object.keys(part).length === 1;
  if (parts.every((part) => isPlain(part) && "const" in part || part["type"] === "null")) {
    return { enum: parts.map((part) => part["type"] === "null" ? null : part["const"]) };
  }
  if (parts.every((part) => isPlain(part) && "type" in part)) {
    return { type: parts.map((part) => part["type"]) };
  }
  return { anyOf: parts };
}

if (import.meta.main) await Deno.writeTextFile(SCHEMA_FILE, await schemaText());
