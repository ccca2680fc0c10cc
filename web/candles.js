// Candles of one stock, from the api's candles, the api's ticks and the live feed. No page and no network in here.
//
// The api is a flush behind the feed, so the last minutes are made of ticks, each counted once by its id,
// whoever brought it and in whatever order. A minute that is over is replaced by the api's own when that has
// as many ticks or more: it knows those that the feed left out.

import { MINUTE, STEPS } from "./range.js";
import { parseId } from "./ticks.js";

/** @typedef {{start: number, open: number, high: number, low: number, close: number, count: number}} Candle
 * `start` in ms since 1970, at the first moment of the candle. */
/** @typedef {{start_time: string, open: number, high: number, low: number, close: number, count: number}} Row
 * A candle as the api writes it. */
/** @typedef {{id: string | readonly [number, number], price: number}} Tick */
/** @typedef {Candle & {first: number, last: number, seen: Set<number> | null}} Minute
 * `first` and `last` are places in the minute; `seen` is null where the api has the last word. */

const SEQUENCES = 2 ** 20; // an id's second half is below it
const OPEN_MINUTES = 10; // a tick of one that is older is left to the api

/** Widths that the chart offers, in ms. @type {Readonly<Record<string, number>>} */
export const WIDTHS = { "1m": STEPS["1m"], "5m": STEPS["5m"], "1h": STEPS["1h"] };

/** The last multiple of `width` since 1970 (UTC) that isn't later: where the api's candles begin, too.
 * @param {number} ms @param {number} width */
export const down = (ms, width) => Math.floor(ms / width) * width;

/** @param {Row} row @returns {Candle} */
export function fromRow({ start_time: time, open, high, low, close, count }) {
  return { start: Date.parse(time), open, high, low, close, count };
}

/** What follows becomes part of it. @param {Candle} whole @param {Omit<Candle, "start" | "open">} part */
function extend(whole, { high, low, close, count }) {
  whole.high = Math.max(whole.high, high);
  whole.low = Math.min(whole.low, low);
  whole.close = close;
  whole.count += count;
}

/** One candle of several that follow each other, or null of none.
 * @param {Iterable<Candle>} parts @param {number} start @returns {Candle | null} */
export function joined(parts, start) {
  /** @type {Candle | null} */
  let whole = null;
  for (const part of parts) {
    const { open, high, low, close, count } = part;
    if (whole) extend(whole, part);
    else whole = { start, open, high, low, close, count };
  }
  return whole;
}

/**
 * Points, in order, as candles of that width.
 * @param {Iterable<{ms: number, price: number}>} points
 * @param {number} width
 * @returns {Candle[]}
 */
export function folded(points, width) {
  /** @type {Candle[]} */
  const found = [];
  for (const { ms, price } of points) {
    const start = down(ms, width);
    const last = found[found.length - 1];
    const part = { start, open: price, high: price, low: price, close: price, count: 1 };
    if (last?.start === start) extend(last, part);
    else found.push(part);
  }
  return found;
}

export class Candles {
  /** @type {Candle[]} before #from, as the api has them */
  #old = [];
  /** @type {Map<number, Minute>} by start */
  #minutes = new Map();
  #from = -Infinity;

  /** @param {number} width in ms, whole minutes */
  constructor(width) {
    this.width = width;
  }

  /** Where the minutes begin, in ms; before it are the api's candles of the whole width. */
  get from() {
    return this.#from;
  }

  /** @param {readonly Row[]} rows of this width, in order, that begin before `from`
   * @param {number} from a multiple of the width */
  begin(rows, from) {
    this.#old = rows.map(fromRow);
    this.#from = from;
    for (const start of this.#minutes.keys()) if (start < from) this.#minutes.delete(start);
  }

  /** A tick of the feed or of the api's history; null if it changes nothing, else the start of its candle.
   * @param {Tick} tick @returns {number | null} */
  addTick({ id, price }) {
    const parsed = typeof id === "string" ? parseId(id) : id;
    if (!parsed || !Number.isFinite(price)) return null;
    const start = down(parsed[0], MINUTE);
    if (start < this.#from) return null;
    const place = (parsed[0] - start) * SEQUENCES + parsed[1];
    const minute = this.#minutes.get(start);
    if (!minute) {
      this.#minutes.set(start, firstOf(start, place, price));
      this.#close(); // also while the api, which settles them, is away
    } else if (!take(minute, place, price)) return null;
    return down(start, this.width);
  }

  /** The api's candles of minutes that are over; says whether any differs from what was known.
   * @param {readonly Row[]} rows */
  settle(rows) {
    let changed = false;
    for (const row of rows.map(fromRow)) {
      const known = this.#minutes.get(row.start);
      if (row.start < this.#from || (known && known.count > row.count)) continue; // not all is stored yet
      changed ||= !known || !same(known, row);
      this.#minutes.set(row.start, { ...row, first: 0, last: 0, seen: null });
    }
    this.#close();
    return changed;
  }

  /** The candle that begins at `start`. @param {number} start @returns {Candle | null} */
  at(start) {
    const parts = [];
    for (let at = start; at < start + this.width; at += MINUTE) {
      const minute = this.#minutes.get(at);
      if (minute) parts.push(minute);
    }
    return joined(parts, start);
  }

  /** All of them, oldest first. @returns {Candle[]} */
  all() {
    const starts = new Set([...this.#minutes.keys()].map((start) => down(start, this.width)));
    const rest = [...starts].sort((a, b) => a - b).map((start) => this.at(start));
    return [...this.#old, ...rest.filter((candle) => candle !== null)];
  }

  /** What was seen is forgotten once nothing more can come: memory doesn't grow with the ticks. The newest are
   * counted, for one tick from the future must not close them all. */
  #close() {
    const newest = [...this.#minutes.values()].sort((a, b) => b.start - a.start);
    for (const minute of newest.slice(OPEN_MINUTES)) minute.seen = null;
  }
}

/** @param {number} start @param {number} place @param {number} price @returns {Minute} */
function firstOf(start, place, price) {
  const [open, high, low, close] = [price, price, price, price];
  return { start, open, high, low, close, count: 1, first: place, last: place, seen: new Set([place]) };
}

/** Whether the tick is a new one. @param {Minute} minute @param {number} place @param {number} price */
function take(minute, place, price) {
  if (!minute.seen || minute.seen.has(place)) return false;
  minute.seen.add(place);
  minute.count += 1;
  minute.high = Math.max(minute.high, price);
  minute.low = Math.min(minute.low, price);
  if (place < minute.first) [minute.first, minute.open] = [place, price];
  if (place > minute.last) [minute.last, minute.close] = [place, price];
  return true;
}

/** @param {Candle} one @param {Candle} other */
function same(one, other) {
  const names = /** @type {const} */ (["open", "high", "low", "close", "count"]);
  return names.every((name) => one[name] === other[name]);
}
