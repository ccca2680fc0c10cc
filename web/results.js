// The result of a question about history: table, numbers, chart, download, or why there is none.

import { addressOf, serverNow } from "./api.js";
import { pointTime } from "./axis.js";
import { showDigits, span } from "./cells.js";
import { countText, localTime, priceText } from "./format.js";
import { element } from "./page_elements.js";
import { fileName } from "./range.js";
import { FLUSH } from "./rhythm.js";

/** @typedef {{timestamp: string, exchange_name: string, price: number, id: string}} Point */
/** @typedef {{start_time: string | null, end_time: string, prices: Point[], next_cursor: string | null}} Page */
/** @typedef {{stock_name: string, start_time: string | null, end_time: string}} Query */
/** @typedef {{query: Query, first: number, count: number, average: number | null}} Facts
 * `first` is how many points come before the page. */

/** @param {Page} page @param {Facts} facts */
export function showPage({ prices, next_cursor: next }, { query, first, count, average }) {
  element("count").textContent = countText(count);
  element("average").textContent = average === null ? "none" : priceText(average);
  element("history-range").replaceChildren(...rangeTexts(query));
  element("history-rows").replaceChildren(...prices.map(pointRow));
  const [from, to, all] = [first + 1, first + prices.length, count].map(countText);
  element("history-caption").replaceChildren(named(query.stock_name), `, points ${from} to ${to} of ${all}`);
  element("history-scroll").scrollTop = 0;
  disable("previous-page", first === 0);
  disable("next-page", next === null);
  const found = prices.length > 0;
  const early = Date.parse(query.end_time) > serverNow() - 2 * FLUSH; // not all of it may be stored
  const none = ` has no price in this range${early ? " yet; the newest are stored within seconds." : "."}`;
  element("history-empty").replaceChildren(named(query.stock_name), none);
  reveal({
    "history-error": false,
    "history-summary": true,
    "history-empty": !found,
    "history-found": found,
  });
  reveal({ pages: found && (first > 0 || next !== null) });
  download(query);
}

/** @param {string} message */
export function showError(message) {
  element("history-error").textContent = message;
  reveal({ "history-error": true, "history-summary": false, "history-empty": false, "history-found": false });
}

/** Nothing is asked for. */
export function showNothing() {
  element("history-empty").textContent = "Choose a stock and a time range.";
  reveal({ "history-error": false, "history-summary": false, "history-empty": true, "history-found": false });
}

/** @param {boolean} busy @param {string} [text] */
export function showLoading(busy, text = busy ? "Loading…" : "") {
  element("history-result").setAttribute("aria-busy", String(busy));
  element("history-loading").textContent = text;
  reveal({ "history-cancel": busy });
  if (busy) reveal({ "history-error": false });
}

/** @param {Query} query */
function download(query) {
  const link = element("history-csv", HTMLAnchorElement);
  link.href = addressOf("/api/prices", { ...query, format: "csv" });
  link.download = fileName(query.stock_name, query.start_time, query.end_time);
}

/** From and to, of which no line ends within one. @param {Query} query */
function rangeTexts({ start_time: start, end_time: end }) {
  const [from, to] = [start, end].map((time) => {
    const edge = span("unbroken");
    edge.textContent = time ? pointTime(Math.floor(Date.parse(time) / 1000)) : "beginning";
    return edge;
  });
  return [from, " to ", to];
}

/** A name in a script of its own direction doesn't turn the words around it. @param {string} stock */
function named(stock) {
  const name = document.createElement("bdi");
  name.textContent = stock;
  return name;
}

/** @param {string} id @param {boolean} disabled */
function disable(id, disabled) {
  element(id, HTMLButtonElement).disabled = disabled;
}

/** @param {Record<string, boolean>} shown */
function reveal(shown) {
  for (const [id, visible] of Object.entries(shown)) element(id).hidden = !visible;
}

/** @param {Point} point */
function pointRow({ timestamp, exchange_name: exchange, price, id }) {
  const row = document.createElement("tr");
  row.dataset.id = id;
  const time = document.createElement("time");
  time.dateTime = timestamp;
  time.textContent = localTime(timestamp);
  row.insertCell().append(time);
  row.insertCell().append(named(exchange));
  const cell = row.insertCell();
  cell.className = "number";
  showDigits(cell, priceText(price));
  return row;
}
