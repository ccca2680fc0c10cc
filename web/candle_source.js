// What a chart asks the api for: all of its candles once, then what the writer still held, and each minute that ends.

import { MOST_CANDLES, getJson, serverNow } from "./api.js";
import { WIDTHS, down } from "./candles.js";
import { pause } from "./pause.js";
import { MINUTE } from "./range.js";
import { FLUSH } from "./rhythm.js";

/** @typedef {import("./candles.js").Candles} Candles */
/** @typedef {import("./candles.js").Row} Row */
/** @typedef {{isStored(stock: string): boolean, mergeSnapshot(snapshot: unknown): void}} Snapshots */

const SHOWN = 1000; // candles
const BEHIND = 2 * FLUSH; // ms: a flush, its COPY, and a clock known to a second only
const SETTLED_AFTER = FLUSH + 3000; // ms: then what came before is stored
const SPREAD = 5000; // ms: not every page asks at the same moment
const AGAIN = 5 * MINUTE; // so long a writer may be late and is still believed
const TICKS = 20_000; // of one answer
const ANSWERS = 5;

/** Throws an Error that says so if the api has nothing of it yet, as of a stock that is new in the feed: its candles
 * are no question then, for an answer 404 would stand in the browser's console.
 * @param {Snapshots} board @param {string} stock @param {AbortSignal} signal */
export async function checkStored(board, stock, signal) {
  if (board.isStored(stock)) return;
  board.mergeSnapshot(await getJson("/api/stocks", {}, signal));
  if (!board.isStored(stock)) throw new Error("nothing of it is stored.");
}

/** The minutes that are over and stored, and the ticks since then. Ticks of the feed may be added meanwhile.
 * @param {Candles} candles @param {string} stock @param {number} now ms, by the server's clock
 * @param {AbortSignal} signal @returns {Promise<number>} the end of the last minute that the api had whole */
export async function load(candles, stock, now, signal) {
  const over = down(now - BEHIND, MINUTE);
  const from = down(over - AGAIN, candles.width);
  const [old, minutes, ticks] = await Promise.all([
    oldCandles(candles.width, stock, from, signal),
    rows(stock, "1m", from, over, signal),
    ticksSince(stock, over, signal),
  ]);
  candles.begin(old, from);
  candles.settle(minutes);
  for (const tick of ticks) candles.addTick(tick);
  return over;
}

/** Until the signal: brings what is stored later than the chart was loaded.
 * @param {Candles} candles @param {string} stock
 * @param {{at: number, until: number}} loaded when that was, and what load() said
 * @param {() => void} changed called when the candles are others @param {AbortSignal} signal */
export function keepWhole(candles, stock, { at, until }, changed, signal) {
  fillIn(candles, stock, at, changed, signal);
  settleMinutes(candles, stock, until, changed, signal);
}

/** Ticks that were in the writer's hands when the chart was loaded: not stored yet, and no news to the feed.
 * @param {Candles} candles @param {string} stock @param {number} loaded when that was
 * @param {() => void} changed @param {AbortSignal} signal */
async function fillIn(candles, stock, loaded, changed, signal) {
  await pause(SETTLED_AFTER, signal);
  if (signal.aborted) return;
  try {
    for (const tick of await ticksSince(stock, loaded - BEHIND, signal)) candles.addTick(tick);
    changed();
  } catch {
    // The end of the minute brings it.
  }
}

/** A little after each minute the api knows all of it.
 * @param {Candles} candles @param {string} stock @param {number} until
 * @param {() => void} changed @param {AbortSignal} signal */
async function settleMinutes(candles, stock, until, changed, signal) {
  const after = SETTLED_AFTER + Math.random() * SPREAD;
  while (!signal.aborted) {
    const now = serverNow();
    await pause(down(now - after, MINUTE) + MINUTE + after - now, signal);
    try {
      const over = down(serverNow() - SETTLED_AFTER, MINUTE);
      const from = Math.max(candles.from, until - AGAIN);
      if (candles.settle(await rows(stock, "1m", from, over, signal))) changed();
      until = over;
    } catch {
      // Asked again in a minute, for what was missed meanwhile too; that the api is away, others say.
    }
  }
}

/** @param {number} width @param {string} stock @param {number} from @param {AbortSignal} signal */
async function oldCandles(width, stock, from, signal) {
  const name = Object.keys(WIDTHS).find((each) => WIDTHS[each] === width) ?? "1m";
  const found = await rows(stock, name, from - SHOWN * width, from, signal);
  if (found.length) return found;
  const { timestamp } = await getJson("/api/latest", { stock_name: stock }, signal);
  const last = down(Date.parse(timestamp), width) + width; // it may have been quiet for long
  return last < from ? rows(stock, name, last - SHOWN * width, last, signal) : found;
}

/** @param {string} stock @param {string} interval @param {number} start ms @param {number} end ms
 * @param {AbortSignal} signal @returns {Promise<Row[]>} */
async function rows(stock, interval, start, end, signal) {
  if (start >= end) return [];
  const times = { start_time: iso(start), end_time: iso(end) };
  const query = { stock_name: stock, interval, ...times, limit: MOST_CANDLES };
  return all("candles", query, Infinity, signal);
}

/** Too many to read are none: the minute is then whole only when it has ended.
 * @param {string} stock @param {number} start @param {AbortSignal} signal */
function ticksSince(stock, start, signal) {
  const query = { stock_name: stock, start_time: iso(start), limit: TICKS };
  return all("prices", query, ANSWERS, signal);
}

/** What all answers to a question have, one after another; nothing if they are more than `most`.
 * @param {"candles" | "prices"} kind @param {Record<string, string | number>} query @param {number} most
 * @param {AbortSignal} signal @returns {Promise<any[]>} */
async function all(kind, query, most, signal) {
  const found = [];
  for (let cursor = null, answers = 0; answers < most; answers += 1) {
    const page = await getJson(`/api/${kind}`, { ...query, cursor }, signal);
    found.push(...page[kind]);
    cursor = page.next_cursor;
    if (cursor === null) return found;
  }
  return [];
}

/** @param {number} ms */
const iso = (ms) => new Date(ms).toISOString();
