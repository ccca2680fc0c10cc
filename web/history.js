// The history form: points, count and average of a stock in a range, page by page.

import { getJson } from "./api.js";
import { digitSpans, showDigits } from "./cells.js";
import { countText, inputTime, localTime, priceText, zoneText } from "./format.js";
import { element } from "./page_elements.js";

/** @typedef {{start_time: string | null, end_time: string | null}} Range */
/** @typedef {{stock: string, range: Range, cursors: (string | null)[]}} Question the cursor of each page seen */
/** @typedef {Question & {average: {average: number | null, count: number}}} Answered */
/** @typedef {{timestamp: string, exchange_name: string, price: number, id: string}} Point */
/** @typedef {{prices: Point[], next_cursor: string | null, end_time: string}} Points */

const PAGE = 1000;
const FIRST_RANGE_MS = 5 * 60_000;

/** @param {string} id */
const field = (id) => element(id, HTMLInputElement);
/** @param {string} id */
const button = (id) => element(id, HTMLButtonElement);

export class History {
  /** @type {Answered | null} */
  #asked = null;
  #page = 0;
  /** @type {AbortController | null} */
  #running = null;
  #suggested = new Set();

  start() {
    const now = new Date();
    const ends = "An empty start means from the beginning, an empty end until now.";
    element("zone").textContent = `Times are in your time zone: ${zoneText(now)}. ${ends}`;
    field("start").value = inputTime(new Date(now.getTime() - FIRST_RANGE_MS));
    element("history-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    element("next-page").addEventListener("click", () => this.#turn(1));
    element("previous-page").addEventListener("click", () => this.#turn(-1));
  }

  /** @param {string} stock */
  suggest(stock) {
    if (this.#suggested.has(stock)) return; // the same name on two exchanges
    this.#suggested.add(stock);
    const option = document.createElement("option");
    option.value = stock;
    element("stocks").append(option);
  }

  #submit() {
    /** @type {Range} */
    const range = { start_time: utc(field("start").value), end_time: utc(field("end").value) };
    /** @type {Question} */
    const asked = { stock: field("stock").value.trim(), range, cursors: [null] };
    return this.#show(async (signal) => {
      const points = await getPage(asked, 0, signal);
      range.end_time ??= points.end_time; // the same one for the average and all pages
      const average = await getJson("/api/average", { stock_name: asked.stock, ...range }, signal);
      this.#asked = { ...asked, average };
      this.#page = 0;
      this.#render(this.#asked, points);
    });
  }

  /** @param {1 | -1} step */
  #turn(step) {
    const asked = this.#asked;
    if (!asked) return null; // a button that shows only below an answer
    return this.#show(async (signal) => {
      const points = await getPage(asked, this.#page + step, signal);
      this.#page += step;
      this.#render(asked, points);
    });
  }

  /**
   * One question at a time: a newer one ends the older.
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async #show(work) {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    loading(true);
    try {
      await work(running.signal);
      loading(false);
    } catch (error) {
      if (running.signal.aborted) return;
      loading(false);
      fail(error instanceof Error ? error.message : String(error));
    }
  }

  /**
   * @param {Answered} asked
   * @param {Points} points
   */
  #render({ stock, average, cursors }, { prices, next_cursor: next }) {
    cursors[this.#page + 1] = next;
    element("count").textContent = countText(average.count);
    element("average").textContent = average.average === null ? "none" : priceText(average.average);
    element("history-rows").replaceChildren(...prices.map(pointRow));
    const first = this.#page * PAGE;
    const [from, to, all] = [first + 1, first + prices.length, average.count].map(countText);
    element("history-caption").textContent = `${stock}, points ${from} to ${to} of ${all}`;
    element("history-scroll").scrollTop = 0;
    button("previous-page").disabled = this.#page === 0;
    button("next-page").disabled = next === null;
    const found = prices.length > 0;
    element("history-empty").textContent = `${stock} has no price in this range.`;
    reveal({ "history-error": false, "history-summary": true });
    reveal({ "history-empty": !found, "history-scroll": found });
    reveal({ pages: found && (this.#page > 0 || next !== null) });
  }
}

/**
 * @param {Question} asked
 * @param {number} page
 * @param {AbortSignal} signal
 * @returns {Promise<Points>}
 */
function getPage({ stock, range, cursors }, page, signal) {
  // In the query: a browser takes a stock named ".." for a step up when it is part of the path.
  const query = { stock_name: stock, ...range, limit: PAGE, cursor: cursors[page] };
  return getJson("/api/prices", query, signal);
}

/** @param {string} local */
const utc = (local) => (local ? new Date(local).toISOString() : null);

/** @param {boolean} busy */
function loading(busy) {
  element("history-result").setAttribute("aria-busy", String(busy));
  element("history-loading").hidden = !busy;
  if (busy) reveal({ "history-error": false });
}

/** @param {string} message */
function fail(message) {
  element("history-error").textContent = message;
  reveal({ "history-error": true, "history-summary": false });
  reveal({ "history-empty": false, "history-scroll": false, pages: false });
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
  row.insertCell().textContent = exchange;
  const cell = row.insertCell();
  cell.className = "number";
  cell.append(...digitSpans());
  showDigits(cell.children, priceText(price));
  return row;
}
