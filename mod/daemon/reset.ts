/** placeholder until host_cleanup exists */
export async function resetHost(
  _flags: Readonly<Record<string, string | boolean | undefined>>,
  _o: { force: boolean; say: (line: string) => void },
): Promise<void> {}
