/** The lab itself: if one of these fails, no other failure means anything. */
import { World } from "../common/world.ts";
import { exec, ip } from "../common/process.ts";
import { loadOpenvswitch } from "../common/kernel_flows.ts";
import { suite } from "../common/suite.ts";

export default suite(
  { name: "lab kernel", open: () => World.create({ hosts: 2, containers: 2 }) },
  {
    "hosts reach each other over the underlay": async (world) => {
      await exec(["ping", "-c", "2", "-i", "0.2", "-W", "2", world.host(2).address], {
        netns: world.host(1).netns,
      });
    },
    "the openvswitch module loads and makes a datapath": async (world) => {
      await loadOpenvswitch();
      const { netns } = world.host(1);
      await exec(["ovs-dpctl", "add-dp", "meshnet"], { netns });
      await exec(["ovs-dpctl", "del-dp", "meshnet"], { netns });
      await ip(["link show eth0"], netns);
    },
  },
);
