// What is true of the connection and how to say it: events in, words out. No page, no network, no clock.

import { ageText, clockTime, countText, isStale, spanText } from "./format.js";

/** @typedef {"connecting" | "live" | "reconnecting" | "disconnected"} Feed */
/**
 * @typedef {object} Gap what was missed; times are ms since 1970, the server's clock
 * @property {string[]} exchanges
 * @property {number} from the last tick that was seen before
 * @property {number} to when the feed was back
 */
/**
 * @typedef {| { type: "feed", at: number, feed: Feed }
 *   | { type: "gap", at: number, gap: Gap }
 *   | { type: "recovered", at: number, since: number }
 *   | { type: "snapshot", at: number, problem: string | null }
 *   | { type: "backend", at: number, problem: string | null }
 *   | { type: "conflated", at: number, skipped: number }
 *   | { type: "refused", at: number, why: string }
 *   | { type: "failed", at: number, problem: string }} Event
 */
/**
 * @typedef {object} Connection
 * @property {Feed} feed
 * @property {number} since when the feed came to be so
 * @property {Gap[]} gaps newest first, the last ten
 * @property {number} gapCount
 * @property {number} gapAt when the newest gap was found
 * @property {boolean} loaded whether the prices were loaded again since
 * @property {{at: number, since: number} | null} recovered
 * @property {{since: number, problem: string} | null} away the backend
 * @property {string | null} snapshot why the stored prices can't be had
 * @property {{at: number, skipped: number} | null} conflated
 * @property {{at: number, why: string} | null} refused
 * @property {string | null} failed why there is no feed at all
 */
/**
 * @typedef {object} View
 * @property {Feed | "stale"} name
 * @property {string} label
 * @property {string} detail grows by the second; not to be spoken
 * @property {string} notice empty: none
 * @property {string[]} spoken sentences: a new one is worth saying aloud
 */

const LOGGED = 10;
const RECOVERED_MS = 30_000;
const GAP_MS = 600_000;
const PASSING_MS = 10_000;
const SLOW_START_MS = 2000;
const LABELS = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  disconnected: "Disconnected",
  stale: "Stale",
};
const SPOKEN = {
  connecting: "Connecting.",
  live: "Prices are live.",
  reconnecting: "The connection is lost; reconnecting.",
  disconnected: "Disconnected.",
  stale: "No tick for ten seconds.",
};

/**
 * @param {number} at
 * @returns {Connection}
 */
export const opened = (at) => ({
  feed: "connecting",
  since: at,
  gaps: [],
  gapCount: 0,
  gapAt: 0,
  loaded: true,
  recovered: null,
  away: null,
  snapshot: null,
  conflated: null,
  refused: null,
  failed: null,
});

/**
 * @param {Connection} was
 * @param {Event} event
 * @returns {Connection}
 */
export function next(was, event) {
  const { at } = event;
  switch (event.type) {
    case "feed":
      return event.feed === was.feed ? was : { ...was, feed: event.feed, since: at, failed: null };
    case "gap":
      return {
        ...was,
        gaps: [event.gap, ...was.gaps].slice(0, LOGGED),
        gapCount: was.gapCount + 1,
        gapAt: at,
        loaded: false,
        recovered: null, // the other way round a recovery leaves the gap in the list
      };
    case "recovered":
      return { ...was, recovered: { at, since: event.since } };
    case "snapshot":
      return { ...was, snapshot: event.problem, loaded: was.loaded || event.problem === null };
    case "backend":
      return {
        ...was,
        away: event.problem === null ? null : { since: was.away?.since ?? at, problem: event.problem },
      };
    case "conflated":
      return {
        ...was,
        conflated: { at, skipped: (passing(was.conflated, at)?.skipped ?? 0) + event.skipped },
      };
    case "refused":
      return { ...was, refused: { at, why: event.why } };
    case "failed":
      return { ...was, feed: "disconnected", since: at, failed: event.problem };
  }
}

/**
 * When the newest tick came: by its id, unless that lies in the future. Then by when this page last had a new one.
 * @param {number | null} newest ms, from the newest id
 * @param {number} now ms, the server's clock
 * @param {number} since ms ago came the last one that was new
 */
export const lastTick = (newest, now, since) => (newest === null ? null : Math.min(newest, now - since));

/**
 * @param {Connection} connection
 * @param {number} now
 * @param {number | null} newest the time of the newest tick
 * @returns {View}
 */
export function view(connection, now, newest) {
  const quiet = now - (newest ?? connection.since);
  const name = connection.feed === "live" && isStale(quiet) ? "stale" : connection.feed;
  const label = LABELS[name];
  const lasting = lastingNotices(connection, now);
  return {
    name,
    label,
    detail: detail(name, now - connection.since, quiet, connection.since),
    notice: lasting.join(" ") || passingNotice(connection, now),
    spoken: [SPOKEN[name], ...lasting],
  };
}

/**
 * @param {View["name"]} name
 * @param {number} lasted
 * @param {number} quiet
 * @param {number} since
 */
function detail(name, lasted, quiet, since) {
  if (name === "stale") return `no tick for ${ageText(quiet)}`;
  if (name === "live" || (name === "connecting" && lasted < SLOW_START_MS)) return "";
  return `for ${ageText(Math.max(lasted, 1000))}, since ${clockTime(new Date(since))}`;
}

/**
 * What remains true for a while, a sentence each; of recoveries and gaps only the last.
 * @param {Connection} connection
 * @param {number} now
 */
function lastingNotices(connection, now) {
  const { feed, failed, away, snapshot, gaps, gapAt, loaded, recovered } = connection;
  const said = [];
  if (failed !== null) said.push(`Live prices can't be shown: ${failed}`);
  if (away) {
    const since = clockTime(new Date(away.since));
    const rest = feed === "live" ? " Live prices don't need it; history does." : "";
    said.push(`The backend is away since ${since}: ${away.problem}${rest}`);
  } else if (snapshot !== null) {
    said.push(`The last stored prices can't be loaded yet: ${snapshot}`);
  }
  if (recovered && now - recovered.at < RECOVERED_MS) said.push(recoveredText(recovered));
  if (!recovered && gaps.length && now - gapAt < GAP_MS) said.push(gapText(gaps[0], loaded));
  return said;
}

/**
 * @param {Connection} connection
 * @param {number} now
 */
function passingNotice({ conflated, refused }, now) {
  const skipped = passing(conflated, now);
  if (skipped)
    return `Catching up: ${countText(skipped.skipped)} older ticks were left out; history has them.`;
  const fault = passing(refused, now);
  return fault ? `The feed sent what can't be used: ${fault.why}.` : "";
}

/**
 * @template {{at: number}} T
 * @param {T | null} event
 * @param {number} now
 */
const passing = (event, now) => (event && now - event.at < PASSING_MS ? event : null);

/** @param {{at: number, since: number}} recovered */
function recoveredText({ at, since }) {
  const lasted = ageText(Math.max(at - since, 1000));
  return `Recovered at ${clockTime(new Date(at))} after ${lasted}: nothing was missed.`;
}

/**
 * @param {Gap} gap
 * @param {boolean} loaded
 */
function gapText({ exchanges, from, to }, loaded) {
  const after = loaded ? "the prices were loaded again." : "the prices are being loaded again.";
  return `Updates on ${exchanges.join(" and ")} were missed, ${spanText(from, to)}; ${after}`;
}
