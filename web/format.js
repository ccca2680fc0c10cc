// Numbers and times as the page shows them.

// A double holds 15 decimal digits for certain; a 16th would be an invention. A double that 15 digits
// don't say was made of more.
export const CERTAIN = 15;
const DIGITS = new Intl.NumberFormat("en-US", { maximumSignificantDigits: CERTAIN, useGrouping: false });
const GROUPED = new Intl.NumberFormat("en-US");
const STALE_MS = 10_000;
// Beyond these a price is said with an exponent: hundreds of zeros help nobody. No tick of the pipeline's is.
const [HUGE, TINY] = [1e21, 1e-18];

// toPrecision rounds the number itself; Intl alone would round its shortest decimal form once more.
/** @param {number} price */
export function priceText(price) {
  const certain = Number(price.toPrecision(CERTAIN));
  const size = Math.abs(certain);
  const endless = size >= HUGE || (size > 0 && size < TINY);
  return about(price) + (endless ? String(certain) : DIGITS.format(certain));
}
/** @param {number} count */
export const countText = (count) => GROUPED.format(count);

/**
 * "≈" before what is rounded.
 * @param {number} price
 */
function about(price) {
  return Number(price.toPrecision(CERTAIN)) === price ? "" : "≈";
}

/**
 * Which way a price went, in words and in the decimals that the two prices have.
 * @param {number} price
 * @param {number | null} previous
 * @returns {{direction: "up" | "down" | "same" | "none", text: string}}
 */
export function change(price, previous) {
  if (previous === null) return { direction: "none", text: "" };
  const decimals = Math.max(...[price, previous].map((n) => fraction(priceText(n)).length));
  const size = Math.abs(price - previous).toFixed(Math.max(0, decimals - 1));
  /** @param {string} sign */
  const text = (sign) => (about(price) || about(previous)) + sign + size;
  if (price === previous) return { direction: "same", text: text("") };
  return price > previous ? { direction: "up", text: text("+") } : { direction: "down", text: text("−") };
}

/**
 * ".02" of "723.02", so that a column can be lined up at its decimal points.
 * @param {string} digits
 */
export function fraction(digits) {
  const point = digits.indexOf(".");
  return point < 0 ? "" : digits.slice(point);
}

/** @param {number} ms the age */
export const isStale = (ms) => ms > STALE_MS;

/** @param {number} ms */
export function ageText(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds}\u00a0s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u00a0min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}\u00a0h`;
  return `${Math.floor(seconds / 86_400)}\u00a0d`;
}

/** @param {number} number */
const two = (number) => String(number).padStart(2, "0");

/**
 * A Date as the value of a datetime-local input, in the viewer's zone.
 * @param {Date} date
 */
export function inputTime(date) {
  const day = [String(date.getFullYear()).padStart(4, "0"), two(date.getMonth() + 1), two(date.getDate())];
  return `${day.join("-")}T${clockTime(date)}`;
}

/** @param {Date} date */
export function clockTime(date) {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
}

/**
 * The api's UTC time in the viewer's zone. A Date ends at milliseconds, so the digits come from the text.
 * @param {string} utc
 */
export function localTime(utc) {
  const digits = /\.(\d+)/.exec(utc)?.[1] ?? "";
  return `${inputTime(new Date(utc)).replace("T", " ")}.${digits.padEnd(6, "0")}`;
}

/**
 * "Europe/Berlin, UTC+01:00 now"
 * @param {Date} date
 */
export function zoneText(date) {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  const offset = `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone}, ${offset} now`;
}

/**
 * From and to in the viewer's zone, with the day where it isn't the same.
 * @param {number} from ms since 1970
 * @param {number} to
 */
export function spanText(from, to) {
  const [first, last] = [from, to].map((ms) => new Date(ms));
  const sameDay = first.toDateString() === last.toDateString();
  const start = sameDay ? clockTime(first) : inputTime(first).replace("T", " ");
  return `${start} to ${sameDay ? clockTime(last) : inputTime(last).replace("T", " ")}`;
}

/**
 * By how much of the reference a price differs: "+0.31%"; empty where nothing can be said.
 * @param {number} price
 * @param {number} reference
 */
export function percentText(price, reference) {
  const percent = ((price - reference) / Math.abs(reference)) * 100;
  if (!Number.isFinite(percent)) return "";
  const size = Math.abs(percent);
  const digits = size >= 1e6 ? size.toExponential(1) : size.toFixed(size < 100 ? 2 : 0);
  return `${percent > 0 ? "+" : percent < 0 ? "−" : ""}${digits}%`;
}

/**
 * Updates a second, never with more than three digits that matter.
 * @param {number} rate
 */
export function rateText(rate) {
  if (rate < 0.05) return "0";
  return rate < 9.95 ? rate.toFixed(1) : countText(Math.round(rate));
}
