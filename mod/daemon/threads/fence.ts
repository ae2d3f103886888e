/** The last fence around a thread: an error that no place caught is told, and the thread goes on. */

/**
 * Takes every error that a timer, a callback or a promise lets out. The runtime would end the thread instead. Disposing it
 * gives them back to the runtime. An error that comes here is a defect: some place forgot its own guard (`Faults.guard`).
 * Each such place works on state of its own. So going on costs what that place does; ending costs every container its way
 * to other hosts.
 */
export function raiseFence(tell: (what: string, thrown: unknown) => void): Disposable {
  const onError = (event: Event) => {
    event.preventDefault();
    const { error, message } = event as ErrorEvent;
    tell("a callback without a guard", error ?? message ?? "unknown error");
  };
  const onRejection = (event: Event) => {
    event.preventDefault();
    tell("a promise nobody waits for", (event as PromiseRejectionEvent).reason);
  };
  addEventListener("error", onError);
  addEventListener("unhandledrejection", onRejection);
  return {
    [Symbol.dispose]() {
      removeEventListener("error", onError);
      removeEventListener("unhandledrejection", onRejection);
    },
  };
}
