/** What a process costs. */

/** Processor time that a process has used, in seconds. */
export function cpuSeconds(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100; // USER_HZ
}

/** Resident memory of a process, in MB. */
export function residentMb(pid: number): number {
  const kb = /VmRSS:\s+([0-9]+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1];
  return Math.round(Number(kb) / 1024);
}

/** How often the threads of a process went to sleep by themselves: how often something woke them. Unlike processor time
 * this does not depend on what else the machine does. */
export function wakeUps(pid: number): number {
  const statuses = [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`)
  );
  const counts = statuses.map((text) => Number(/^voluntary_ctxt_switches:\s+([0-9]+)$/m.exec(text)![1]));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** What each thread of a process does: its name, state, where in the kernel it waits, and its system call. */
export function threadsOf(pid: number): readonly string[] {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path).trim();
    } catch {
      return "?"; // it has ended, or the kernel does not say
    }
  };
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => {
    const at = `/proc/${pid}/task/${name}`;
    const state = /^State:\s+(.)/m.exec(read(`${at}/status`))?.[1];
    return `${read(`${at}/comm`)} ${state} ${read(`${at}/wchan`)} ${read(`${at}/syscall`)}`;
  });
}
