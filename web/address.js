// What the page's own address says: which history was asked for, and which chart is shown.

import { WIDTHS } from "./candles.js";
import { isQuick } from "./range.js";

/** @typedef {{stock: string, range: string | null, start: string | null, end: string | null}} Asked
 * Either a quick range by its name, or times as the api takes them; a null is open. */
/** @typedef {{stock: string | null, width: string, kind: "candles" | "line"}} Charted */

const FIRST = "5m"; // the range of an address that names only a stock

/** @param {string} search "?stock=TSLA&range=5m" @returns {Asked | null} null if it asks for no history */
export function readAsked(search) {
  const given = new URLSearchParams(search);
  const stock = given.get("stock");
  if (!stock) return null;
  const [range, start, end] = ["range", "start", "end"].map((name) => given.get(name) || null);
  if (start || end) return { stock, range: null, start, end };
  return { stock, range: range && isQuick(range) ? range : FIRST, start: null, end: null };
}

/** The chart of an address; the history's stock where it names none.
 * @param {string} search @returns {Charted} */
export function readCharted(search) {
  const given = new URLSearchParams(search);
  const width = given.get("width") ?? "";
  return {
    stock: given.get("chart") || given.get("stock") || null,
    width: Object.hasOwn(WIDTHS, width) ? width : "1m",
    kind: given.get("kind") === "line" ? "line" : "candles",
  };
}

/** The query string with other values in it; a null leaves a name out.
 * @param {string} search @param {Record<string, string | null>} changes */
export function changed(search, changes) {
  const given = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) given.delete(name);
    else given.set(name, value);
  }
  return `?${given}`;
}
