// History: from the form or the page's address to the api, page by page, and its result.

import { changed, readAsked } from "./address.js";
import { getJson, wordsOf } from "./api.js";
import { Form, apiRange } from "./form.js";
import { countText } from "./format.js";
import { element } from "./page_elements.js";
import { showChart } from "./result_chart.js";
import { showError, showLoading, showNothing, showPage } from "./results.js";

/** @typedef {import("./address.js").Asked} Asked */
/** @typedef {import("./results.js").Query} Query */
/** @typedef {{query: Query, count: number, average: number | null, cursors: (string | null)[]}} Answered
 * `cursors` has the one of each page seen, and of the next. */

const PAGE = 1000;

export class History {
  #form = new Form();
  /** @type {Answered | null} */
  #answered = null;
  #page = 0;
  /** @type {AbortController | null} */
  #running = null;
  #charting = new AbortController(); // a page that is turned doesn't end it
  #first = "";
  #read = ""; // what the address asked for when it was last read or written

  start() {
    this.#form.start(() => this.#submit());
    element("history-cancel").addEventListener("click", () => this.#cancel());
    element("next-page").addEventListener("click", () => this.#turn(1));
    element("previous-page").addEventListener("click", () => this.#turn(-1));
    // A link to a part of the page is such an event too, and asks for nothing else.
    addEventListener("popstate", () => question() !== this.#read && this.#readAddress());
    document.addEventListener("stockchosen", (event) => {
      this.#form.stock = /** @type {CustomEvent} */ (event).detail.stock;
    });
    document.addEventListener("rangechosen", (event) => {
      this.#ask(/** @type {CustomEvent} */ (event).detail);
    });
    this.#readAddress();
  }

  /** A stock that there is. @param {string} stock */
  suggest(stock) {
    this.#first ||= stock;
    this.#form.suggest(stock);
  }

  /** @param {{start: Date, end: Date}} range to be shown as if it had been typed */
  #ask({ start, end }) {
    const [from, to] = [start, end].map((time) => time.toISOString());
    this.#form.write({
      stock: this.#form.stock || this.#first,
      range: null,
      start: from,
      end: to,
    });
    element("history").scrollIntoView();
    element("stock").focus({ preventScroll: true });
    if (this.#form.stock) this.#submit();
  }

  #submit() {
    const asked = this.#form.read();
    const address = changed(location.search, asked);
    if (address !== location.search) history.pushState(null, "", address);
    this.#read = question();
    this.#answer(asked, () => {
      const typed = this.#form.stock; // meanwhile: it stays
      choose(asked.stock);
      this.#form.stock = typed;
    });
  }

  #readAddress() {
    const asked = readAsked(location.search);
    this.#read = question();
    if (asked) {
      this.#form.write(asked);
      this.#answer(asked);
    } else {
      this.#running?.abort();
      showLoading(false);
      showNothing();
    }
  }

  /** @param {Asked} asked @param {() => void} [known] called once the api has said that there is such a stock */
  #answer(asked, known) {
    const range = apiRange(asked);
    return this.#show(async (signal) => {
      const first = await getPage({ stock_name: asked.stock, ...range }, null, signal);
      known?.();
      // The same range for the average, all pages, the chart and the download: as the api read it, which knows more
      // ways to write a time than the page.
      const { start_time, end_time } = first;
      const query = { stock_name: asked.stock, start_time, end_time };
      if (!asked.range && !known) this.#form.fill({ start: start_time, end: asked.end && end_time });
      const { count, average } = await getJson("/api/average", query, signal);
      this.#answered = { query, count, average, cursors: [null] };
      this.#render(first, 0);
      this.#charting.abort();
      this.#charting = new AbortController();
      if (first.prices.length) showChart(first, query, count, this.#charting.signal);
      return count ? `${countText(count)} ${count === 1 ? "point" : "points"}.` : "No price.";
    });
  }

  /** @param {number} step */
  #turn(step) {
    return this.#show(async (signal) => {
      if (!this.#answered) return "";
      const { query, cursors } = this.#answered;
      const page = this.#page + step;
      this.#render(await getPage(query, cursors[page], signal), page);
      return `Page ${countText(page + 1)}.`;
    });
  }

  /** @param {import("./results.js").Page} points @param {number} page */
  #render(points, page) {
    if (!this.#answered) return;
    this.#page = page;
    this.#answered.cursors[page + 1] = points.next_cursor;
    showPage(points, { ...this.#answered, first: page * PAGE });
  }

  #cancel() {
    this.#running?.abort();
    showLoading(false, "Cancelled.");
    element("show-history").focus(); // what had it is gone
  }

  /** One question at a time: a newer one ends the older.
   * @param {(signal: AbortSignal) => Promise<string>} work what it returns is said */
  async #show(work) {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    showLoading(true);
    try {
      showLoading(false, await work(running.signal));
    } catch (error) {
      if (running.signal.aborted) return;
      showLoading(false);
      showError(wordsOf(error));
    }
  }
}

/** What the address asks for, as text; the chart's part of it is left out. */
const question = () => JSON.stringify(readAsked(location.search));

/** Says it to the chart, too. @param {string} stock */
function choose(stock) {
  document.dispatchEvent(new CustomEvent("stockchosen", { detail: { stock, exchange: null } }));
}

/** In the query: a browser takes a stock named ".." for a step up when it is part of the path.
 * @param {{stock_name: string, start_time: string | null, end_time: string | null}} query
 * @param {string | null} cursor @param {AbortSignal} signal */
function getPage(query, cursor, signal) {
  return getJson("/api/prices", { ...query, limit: PAGE, cursor }, signal);
}
