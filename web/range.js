// Ranges of time: the quick ones, what a form's local times mean, and what fits a range. No page in here.

import { inputTime } from "./format.js";

/** @typedef {{start: Date | null, end: Date | null}} Range half-open; null is the beginning, or until now */

export const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** @param {number} ms */
const last = (ms) => (/** @type {Date} */ now) => ({ start: new Date(now.getTime() - ms), end: null });

/** @type {Readonly<Record<string, (now: Date) => Range>>} */
const QUICK = {
  "5m": last(5 * MINUTE),
  "10m": last(10 * MINUTE),
  "15m": last(15 * MINUTE),
  "1h": last(HOUR),
  today: (now) => ({ start: midnight(now, 0), end: null }),
  yesterday: (now) => ({ start: midnight(now, -1), end: midnight(now, 0) }),
  all: () => ({ start: null, end: null }),
};

/** @param {string} name */
export const isQuick = (name) => Object.hasOwn(QUICK, name);

/** @param {string} name one that isQuick @param {Date} now */
export const quickRange = (name, now) => QUICK[name](now);

/** By the calendar: a day has 23 to 25 hours. @param {Date} now @param {number} days */
function midnight(now, days) {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days);
}

/** What a form's local time means. One that the clock shows twice is, as an end, the later of the two:
 * the range then has both. @param {string} local "2026-10-25T02:30" @param {"start" | "end"} edge */
export function instant(local, edge) {
  const first = new Date(local);
  if (edge === "start" || Number.isNaN(first.getTime())) return first;
  const shown = inputTime(first);
  for (const shift of [2 * HOUR, HOUR, HOUR / 2]) {
    const later = new Date(first.getTime() + shift);
    if (inputTime(later) === shown) return later;
  }
  return first;
}

/** The widths of the api's candles, in ms, by its names for them. */
export const STEPS = { "1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "1d": 24 * HOUR };
const FINE = [100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000]; // ms

/**
 * The api's finest candles of which `most` cover so long a time: their name, and their width in ms.
 * @param {number} ms
 * @param {number} most
 */
export function fittingStep(ms, most) {
  const steps = Object.entries(STEPS);
  return steps.find(([, width]) => ms <= most * width) ?? steps[steps.length - 1];
}

/**
 * The same of candles finer than the api's, in ms.
 * @param {number} ms
 * @param {number} most
 */
export const fineStep = (ms, most) => FINE.find((width) => ms <= most * width) ?? MINUTE;

/**
 * "5 minutes"
 * @param {number} ms
 */
export function widthText(ms) {
  /** @type {[string, number][]} */
  const units = [
    ["day", 24 * HOUR],
    ["hour", HOUR],
    ["minute", MINUTE],
  ];
  const [unit, size] = units.find(([, each]) => ms >= each) ?? ["second", 1000];
  return `${ms / size} ${unit}${ms === size ? "" : "s"}`;
}

/** A name for a download that every system takes. @param {string} stock
 * @param {string | null} start @param {string} end RFC 3339 */
export function fileName(stock, start, end) {
  const times = [start ?? "beginning", end].map((time) => time.replace(/\.\d+|:/g, ""));
  const name = stock.replace(/[^\p{L}\p{N}.-]/gu, "_").replace(/^\.+/, "_");
  return `${[...name].slice(0, 40).join("")}_${times.join("_")}.csv`;
}
