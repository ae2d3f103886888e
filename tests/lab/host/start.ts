/** Times from start to work. */
import type { World } from "../common/world.ts";

/** Milliseconds from `up` on both hosts to the first answer across, and of each phase. */
export async function firstPing(
  world: World,
): Promise<{ readonly total: number; readonly phases: Readonly<Record<string, number>> }> {
  const begun = performance.now();
  let last = begun;
  const phases: Record<string, number> = {};
  const phase = (name: string) => {
    const now = performance.now();
    phases[name] = Math.round(now - last);
    last = now;
  };
  world.host(1).start();
  world.host(2).start("--peers", world.host(1).address);
  await Promise.all(world.hosts.map((host) => host.answers({ everyMs: 5 })));
  phase("answering");
  await Promise.all(world.hosts.map((host) => host.established()));
  phase("connected");
  await Promise.all(world.hosts.map((host, i) => host.attach(world.container(i + 1), `10.2.1.${i + 1}/24`)));
  phase("attached");
  await world.container(1).mustPing("10.2.1.2", "-c", "1", "-W", "3");
  phase("answer");
  return { total: Math.round(last - begun), phases };
}

/** Starts all hosts together, each told of the first, and waits until all are connected to all. Gives milliseconds
 * until the last daemon answered (which is mostly its runtime's start), and from there to the full mesh. */
export async function fullMesh(world: World): Promise<{ readonly started: number; readonly ms: number }> {
  const begun = performance.now();
  for (const [i, host] of world.hosts.entries()) {
    host.start(...i === 0 ? [] : ["--peers", world.host(1).address]);
  }
  // One after the other: asking takes its share of the processors, too.
  for (const host of world.hosts) await host.answers();
  const started = performance.now();
  for (const host of world.hosts) await host.established(world.hosts.length - 1, 120_000, 100);
  return { started: Math.round(started - begun), ms: Math.round(performance.now() - started) };
}
