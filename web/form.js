// The history form: what it asks for, and how what is asked for stands in it.

import { serverNow } from "./api.js";
import { onChoice, press } from "./choices.js";
import { inputTime } from "./format.js";
import { element } from "./page_elements.js";
import { instant, isQuick, quickRange } from "./range.js";

/** @typedef {import("./address.js").Asked} Asked */
/** @typedef {"start" | "end"} Edge */

const EDGES = /** @type {const} */ (["start", "end"]);

/** @param {string} id */
const input = (id) => element(id, HTMLInputElement);

export class Form {
  /** @type {string | null} the quick range that is chosen */
  #range = null;
  /** @type {Map<Edge, {local: string, at: Date}>} more exact than what an input can show */
  #exact = new Map();
  /** @type {Set<string>} */
  #suggested = new Set();

  /** @param {() => void} submit called when the form is sent */
  start(submit) {
    element("history-form").addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    onChoice("quick-ranges", (range) => {
      this.#choose(range);
      if (this.stock) submit();
    });
    for (const edge of EDGES) element(edge).addEventListener("input", () => this.#press(null));
    this.#choose("5m");
  }

  get stock() {
    return input("stock").value.trim();
  }

  set stock(name) {
    input("stock").value = name;
  }

  /** @param {string} stock */
  suggest(stock) {
    if (this.#suggested.has(stock)) return; // the same name on two exchanges
    this.#suggested.add(stock);
    const option = document.createElement("option");
    option.value = stock;
    element("stocks").append(option);
  }

  /** @returns {Asked} */
  read() {
    const stock = this.stock;
    if (this.#range) {
      this.#choose(this.#range); // it ends now, and not when it was chosen
      return { stock, range: this.#range, start: null, end: null };
    }
    const [start, end] = EDGES.map((edge) => this.#time(edge));
    if (!start && !end) return { stock, range: "all", start, end };
    return { stock, range: null, start, end };
  }

  /** @param {Asked} asked */
  write({ stock, range, start, end }) {
    this.stock = stock;
    if (range && isQuick(range)) return this.#choose(range);
    this.#press(null);
    this.fill({ start, end });
  }

  /** @param {{start: string | null, end: string | null}} times */
  fill({ start, end }) {
    this.#fill({ start: start ? new Date(start) : null, end: end ? new Date(end) : null });
  }

  /** @param {string} range */
  #choose(range) {
    this.#press(range);
    this.#fill(quickRange(range, new Date(serverNow())));
  }

  /** @param {string | null} range */
  #press(range) {
    this.#range = range;
    press("quick-ranges", range);
  }

  /** @param {import("./range.js").Range} range of which a time that makes no sense is left out */
  #fill(range) {
    this.#exact.clear();
    for (const edge of EDGES) {
      const at = range[edge];
      const local = at && !Number.isNaN(at.getTime()) ? inputTime(at) : "";
      input(edge).value = local;
      if (at && local) this.#exact.set(edge, { local: input(edge).value, at });
    }
  }

  /** @param {Edge} edge */
  #time(edge) {
    const local = input(edge).value;
    if (!local) return null;
    const exact = this.#exact.get(edge);
    return (exact?.local === local ? exact.at : instant(local, edge)).toISOString();
  }
}

/** What is asked for, in the api's words. @param {Asked} asked
 * @returns {{start_time: string | null, end_time: string | null}} */
export function apiRange({ range, start, end }) {
  if (!range) return { start_time: start, end_time: end };
  const quick = quickRange(range, new Date(serverNow()));
  return { start_time: quick.start?.toISOString() ?? null, end_time: quick.end?.toISOString() ?? null };
}
