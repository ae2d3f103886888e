/** How scenarios are written down; the lab in user-mode Linux reads the same list outside, to name them, and inside,
 * to run them. */

/** One thing to show on a suite's arrangement of hosts; it throws when it is not so. */
export type Scenario<W> = (world: W) => Promise<void>;

/** An arrangement of hosts and the scenarios that use it, in order. A failed one gets the next a fresh arrangement. */
export interface Suite {
  readonly name: string;
  readonly scenarios: readonly string[];
  /** Runs one scenario, opening the arrangement first where it is not there. */
  run(scenario: string): Promise<void>;
  /** What the arrangement's daemons and kernel had to say: for the report of a failure. */
  explain(): Promise<string>;
  /** Takes the arrangement down, if there is one. */
  close(): Promise<void>;
}

/** An arrangement that can be taken down and can tell its state. */
export interface Arrangement extends AsyncDisposable {
  explain(): Promise<string>;
}

/** Declares a suite. */
export function suite<W extends Arrangement>(
  options: {
    readonly name: string;
    /** Makes the hosts. */
    readonly open: () => Promise<W>;
    /** Brings them to the state that every scenario expects. */
    readonly prepare?: (world: W) => Promise<void>;
  },
  scenarios: Readonly<Record<string, Scenario<W>>>,
): Suite {
  let world: W | undefined;
  let prepared = false;
  return {
    name: options.name,
    scenarios: Object.keys(scenarios),
    async run(name) {
      world ??= await options.open();
      if (!prepared) await options.prepare?.(world);
      prepared = true;
      await scenarios[name]!(world);
    },
    explain: async () => await world?.explain() ?? "(the hosts were not set up)",
    async close() {
      const old = world;
      world = undefined;
      prepared = false;
      await old?.[Symbol.asyncDispose]();
    },
  };
}

/** What the runner inside reports, one JSON line each. */
export type Report =
  | { readonly kind: "pace"; readonly slowness: number }
  | { readonly kind: "suite"; readonly suite: string }
  | { readonly kind: "started"; readonly test: string }
  | { readonly kind: "passed"; readonly test: string; readonly ms: number; readonly notes: readonly string[] }
  | { readonly kind: "failed"; readonly test: string; readonly ms: number; readonly why: string }
  | { readonly kind: "done" };

/** The full name of a scenario. */
export function testName(suiteName: string, scenario: string): string {
  return `${suiteName}: ${scenario}`;
}
