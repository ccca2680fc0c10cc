// The live table: at most one drawing a frame, and of so many rows that it stays a short one.

import { serverNow } from "./api.js";
import { made, Row } from "./row.js";

/** @import { Quote } from "./quote.js" */
/** @import { Board } from "./ticks.js" */
/** @typedef {{body: HTMLTableSectionElement, names: string[]}} Group the names in order */
/** @typedef {{stock: string, exchange?: string | null}} Choice */

const COLUMNS = 6;
// Rows drawn in one frame at most: the rest come with the next ones, so that a message of 500 ticks costs no frame.
const IN_VIEW = 12;
const OUT_OF_VIEW = 20; // the browser doesn't lay these out

export class LiveTable {
  #board;
  #table;
  /** @type {Map<Quote, Row>} */
  #rows = new Map();
  /** @type {WeakMap<Element, Row>} */
  #byElement = new WeakMap();
  /** @type {Map<string, Group>} */
  #groups = new Map(); // by exchange
  /** @type {Set<Row>} */
  #due = new Set(); // at most all rows, however long no frame is drawn
  #frame = 0;
  #filter = "";
  /** @type {Choice | null} */
  #chosen = null;
  #onNewStock;

  /**
   * @param {Board} board
   * @param {HTMLTableElement} table
   * @param {(stock: string) => void} onNewStock
   */
  constructor(board, table, onNewStock) {
    this.#board = board;
    this.#table = table;
    this.#onNewStock = onNewStock;
    // Told by the browser, which finds out anyway; to ask it with an observer costs as much again.
    table.addEventListener("contentvisibilityautostatechange", (event) => this.#seen(event));
    table.addEventListener("click", ({ target }) => this.#choose(target));
    table.addEventListener("keydown", (event) => this.#walk(event));
  }

  get size() {
    return this.#rows.size;
  }

  changed() {
    this.#frame ||= requestAnimationFrame((now) => this.#draw(now));
  }

  /** Called every second: ages and rates change without any tick. */
  tickClock() {
    for (const row of this.#rows.values()) this.#due.add(row);
    this.changed();
  }

  /** @param {string} text what the names that are shown have in them; how many they are */
  filter(text) {
    this.#filter = text.trim().toUpperCase();
    let shown = 0;
    for (const row of this.#rows.values()) shown += Number(this.#showOrHide(row));
    for (const { body } of this.#groups.values()) {
      body.hidden = !body.querySelector("tr[data-stock]:not([hidden])");
    }
    return shown;
  }

  /** @param {Choice} choice without an exchange: wherever it is traded */
  mark(choice) {
    this.#chosen = choice;
    for (const row of this.#rows.values()) this.#press(row);
  }

  /** @param {number} now */
  #draw(now) {
    this.#frame = 0;
    for (const quote of this.#board.takeChanged())
      this.#due.add(this.#rows.get(quote) ?? this.#insert(quote));
    const server = serverNow();
    const left = { seen: IN_VIEW, unseen: OUT_OF_VIEW };
    for (const row of this.#due) {
      const kind = row.visible ? "seen" : "unseen";
      if (left[kind] === 0) continue;
      left[kind] -= 1;
      this.#due.delete(row);
      row.draw(server, now);
    }
    if (this.#due.size) this.changed();
  }

  /** @param {Quote} quote */
  #insert(quote) {
    const row = new Row(quote);
    const { body, names } = this.#group(quote.exchange);
    const at = position(names, quote.stock);
    names.splice(at, 0, quote.stock);
    body.insertBefore(row.element, body.rows[at + 1] ?? null); // below the group's heading
    this.#rows.set(quote, row);
    this.#byElement.set(row.element, row);
    this.#press(row);
    if (this.#showOrHide(row)) body.hidden = false;
    this.#onNewStock(quote.stock);
    return row;
  }

  /** @param {string} exchange */
  #group(exchange) {
    const known = this.#groups.get(exchange);
    if (known) return known;
    /** @type {Group} */
    const group = { body: made("tbody", "rowgroup"), names: [] };
    const heading = made("tr", "row");
    heading.className = "group";
    const title = made("th", "rowheader");
    title.scope = "rowgroup";
    title.colSpan = COLUMNS;
    title.textContent = exchange;
    heading.append(title);
    group.body.hidden = Boolean(this.#filter);
    group.body.append(heading);
    const later = [...this.#groups.keys()].filter((name) => name > exchange).sort()[0];
    this.#table.insertBefore(group.body, (later && this.#groups.get(later)?.body) || null);
    this.#groups.set(exchange, group);
    return group;
  }

  /** @param {Row} row */
  #showOrHide({ quote, element }) {
    element.hidden = !quote.stock.toUpperCase().includes(this.#filter);
    return !element.hidden;
  }

  /** @param {Event} event */
  #seen(event) {
    const { target, skipped } = /** @type {ContentVisibilityAutoStateChangeEvent} */ (event);
    const row = target instanceof Element && this.#byElement.get(target);
    if (row) row.visible = !skipped;
  }

  /** @param {EventTarget | null} target */
  #choose(target) {
    const element = target instanceof Element && target.closest("button.stock")?.closest("tr");
    const row = element && this.#byElement.get(element);
    if (!row) return;
    const { stock, exchange } = row.quote;
    document.dispatchEvent(new CustomEvent("stockchosen", { detail: { stock, exchange } }));
  }

  /** @param {Row} row */
  #press({ button, element, quote: { stock, exchange } }) {
    const chosen = this.#chosen;
    const pressed = chosen?.stock === stock && (chosen.exchange ?? exchange) === exchange;
    button.setAttribute("aria-pressed", String(pressed));
    element.classList.toggle("chosen", pressed);
  }

  /**
   * Arrows go from stock to stock, as Tab does.
   * @param {KeyboardEvent} event
   */
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const from = event.target;
    if (!step || event.altKey || event.ctrlKey || event.metaKey || !(from instanceof HTMLButtonElement))
      return;
    /** @type {NodeListOf<HTMLButtonElement>} */
    const buttons = this.#table.querySelectorAll("tr:not([hidden]) > th > button.stock");
    [...buttons][[...buttons].indexOf(from) + step]?.focus();
    event.preventDefault();
  }
}

/**
 * Where `name` belongs in `names`, which are in order.
 * @param {string[]} names
 * @param {string} name
 */
function position(names, name) {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (names[middle] < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
