/** Containers that are bridged together: the kernel's Open vSwitch would carry their frames round and round. */
import { hosts, mesh } from "../common/arrangements.ts";
import { loopIsCut, loopOverHostsIsCut } from "../common/loops.ts";
import { suite } from "../common/suite.ts";

export default suite({ name: "loops", open: () => hosts(2), prepare: mesh }, {
  "two containers are bridged together: one is stopped, all others go on, and it comes back": loopIsCut,
  "a container of each host are bridged together: others go on, and all come back": loopOverHostsIsCut,
});
