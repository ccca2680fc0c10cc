// Waiting, which something else may end.

/** Rejects never: an aborted pause ends at once. @param {number} ms @param {AbortSignal | null} signal */
export function pause(ms, signal = null) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve(undefined);
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}
