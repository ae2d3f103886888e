import assert from "node:assert/strict";
import { isOurFilter, loadPrograms } from "../../../../mod/datapath/ebpf/programs_shell.ts";
import { MAPS } from "../../../../mod/datapath/ebpf/layout.ts";
import { FakeMachine } from "./fake_machine.ts";

const COUNT = Object.keys(MAPS).length;

Deno.test("the first process makes everything, the next one takes over what filters lead to", () => {
  const machine = new FakeMachine();
  const first = loadPrograms(machine, []);
  assert.deepEqual([machine.maps.length, machine.programs.length], [COUNT, 3]);
  const { local, tunnel } = first.programs;
  const filters = [local, tunnel].map(({ name, program }) => ({ name, program: program.fd + 100 }));
  assert.ok(filters.every(({ name }) => isOurFilter(name)));
  const second = loadPrograms(machine, [{ name: "somebody's", program: 1 }, ...filters]);
  assert.equal(machine.maps.length, COUNT);
  assert.equal(second.maps.flows, first.maps.flows);
  assert.deepEqual(machine.programs.map(({ name }) => name).slice(3), ["meshnet_user"]); // its TAP was gone
  assert.equal(second.programs.local.program.fd, local.program.fd);
});

Deno.test("a program is held once, however many ports have it", () => {
  const machine = new FakeMachine();
  const { name, program } = loadPrograms(machine, []).programs.local;
  let asked = 0;
  const { programById } = machine;
  machine.programById = (id) => (asked++, programById.call(machine, id));
  loadPrograms(machine, Array.from({ length: 100 }, () => ({ name, program: program.fd + 100 })));
  assert.equal(asked, 1);
});

Deno.test("programs that say something else are loaded anew, with the maps that are there", () => {
  const machine = new FakeMachine();
  const first = loadPrograms(machine, []);
  const { name, program } = first.programs.local;
  const other = [{ name: name.slice(0, -8) + "00000000", program: program.fd + 100 }];
  const second = loadPrograms(machine, other);
  assert.equal(second.maps.flows, first.maps.flows);
  assert.notEqual(second.programs.local.program.fd, program.fd);
});

Deno.test("maps of an earlier version without those for IPv6 are taken over, and these are made", () => {
  const machine = new FakeMachine();
  const first = loadPrograms(machine, []);
  const later = [first.maps.numbers, first.maps.addresses].map(({ fd }) => fd + 100);
  const { name, program } = first.programs.local;
  const held = machine.programs.find(({ fd }) => fd === program.fd)!;
  Object.assign(held, { maps: held.maps.filter((id) => !later.includes(id)) });
  const old = { name: name.slice(0, -8) + "00000000", program: program.fd + 100 };
  const second = loadPrograms(machine, [old]);
  assert.equal(second.maps.flows, first.maps.flows);
  assert.notEqual(second.maps.numbers, first.maps.numbers);
  assert.equal(machine.maps.length, COUNT + 2);
  // A host that was stopped half-way has ports with either: the maps of the newer ones hold what the flows name.
  const { name: newer, program: { fd } } = second.programs.tunnel;
  const third = loadPrograms(machine, [old, { name: newer, program: fd + 100 }]);
  assert.equal(third.maps.numbers, second.maps.numbers);
  assert.equal(machine.maps.length, COUNT + 2);
});

Deno.test("what another layout left is not taken over", () => {
  const machine = new FakeMachine();
  const { programs: { local } } = loadPrograms(machine, []);
  const old = local.name.replace(/^meshnet [0-9]+/, "meshnet 0");
  loadPrograms(machine, [{ name: old, program: local.program.fd + 100 }]);
  assert.equal(machine.maps.length, 2 * COUNT);
});

Deno.test("maps of another shape are not taken over", () => {
  const machine = new FakeMachine();
  const { programs: { local } } = loadPrograms(machine, []);
  Object.defineProperty(machine.maps[0]!, "shape", { value: { ...machine.maps[0]!.shape, valueSize: 4 } });
  loadPrograms(machine, [{ name: local.name, program: local.program.fd + 100 }]);
  assert.equal(machine.maps.length, 2 * COUNT);
});
