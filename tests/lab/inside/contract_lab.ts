/** What every datapath does, done by Open vSwitch. On this machine's own kernel the others do it: ../host/datapath_test.ts. */
import { datapathContract } from "../common/datapath_contract.ts";

export default datapathContract("ovs", "ct");
