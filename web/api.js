// Calls to the history api; a failure becomes one sentence to show, the api's own where it sent one.

export const MOST_CANDLES = 10_000; // of one answer
const TIMEOUT_MS = 20_000;
export const SAME_CLOCK_MS = 2000; // the Date header has whole seconds only
let skew = 0;

/** What is to be shown of whatever was thrown. @param {unknown} error */
export const wordsOf = (error) => (error instanceof Error ? error.message : String(error));

/** The server's time: ages must not depend on how wrong the viewer's clock is. */
export const serverNow = () => Date.now() + skew;

/**
 * The answer's JSON. A failure is an Error whose message is to be shown.
 * @param {string} path
 * @param {Record<string, string | number | null>} query a null is left out
 * @param {AbortSignal | null} signal
 * @returns {Promise<any>} as the api's description says
 */
export async function getJson(path, query = {}, signal = null) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  let body;
  try {
    const either = AbortSignal.any(signal ? [signal, limit] : [limit]);
    response = await fetch(addressOf(path, query), { cache: "no-store", signal: either });
    noteClock(response.headers.get("Date")); // now: the body may take seconds
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    const words = limit.aborted ? "The server took too long to answer." : "The server can't be reached.";
    throw new Error(words, { cause: error });
  }
  const answer = parse(body);
  if (!response.ok || answer === null) throw new Error(problem(answer, response.status));
  return answer;
}

/**
 * @param {string} path
 * @param {Record<string, string | number | null>} query a null is left out
 */
export function addressOf(path, query) {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === null ? [] : [[name, `${value}`]],
  );
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** @param {string} body */
function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null; // a proxy's page, or an answer cut short
  }
}

/**
 * @param {any} answer
 * @param {number} status
 */
function problem(answer, status) {
  const said = answer?.detail ?? answer?.title;
  return typeof said === "string" && said ? said : `The server's answer can't be used (status ${status}).`;
}

/** @param {string | null} date the Date header */
function noteClock(date) {
  const difference = Date.parse(date ?? "") + 500 - Date.now();
  if (Number.isFinite(difference)) skew = Math.abs(difference) > SAME_CLOCK_MS ? difference : 0;
}
