// The live table: drawn in rounds, some a second, so that most frames have nothing to do.

import { serverNow } from "./api.js";
import { made, Row } from "./row.js";

/** @import { Quote } from "./quote.js" */
/** @import { Board } from "./ticks.js" */
/** @typedef {{body: HTMLTableSectionElement, heading: HTMLElement, names: string[], rows: Row[]}} Group both in order */

const COLUMNS = 6;
const ROUND_MS = 100; // nobody reads faster, and a frame in which nothing is drawn costs next to nothing
const IN_SIGHT = 24; // rows drawn in one frame at most, some 10 ms: on a tall screen the others come with the next
const OUT_OF_SIGHT = 8; // in one round; 500 rows are a few seconds old at most, for who searches or listens

export class LiveTable {
  #board;
  #table;
  #scroller;
  /** @type {Map<Quote, Row>} */
  #rows = new Map();
  /** @type {WeakMap<Element, Row>} */
  #byElement = new WeakMap();
  /** @type {Map<string, Group>} */
  #groups = new Map(); // by exchange
  /** @type {Set<Row>} */
  #due = new Set(); // at most all rows, however long no frame is drawn
  #drawing = false; // or waiting to
  #asked = false; // something changed since the round began
  #began = -ROUND_MS;
  #filter = "";
  /** @type {string | null} */
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
    this.#scroller = table.parentElement ?? table;
    this.#onNewStock = onNewStock;
    const moved = { capture: true, passive: true }; // the table in its frame, or the page
    document.addEventListener("scroll", () => this.changed(), moved);
    table.addEventListener("click", ({ target }) => this.#choose(target));
    table.addEventListener("keydown", (event) => this.#walk(event));
  }

  get size() {
    return this.#rows.size;
  }

  changed() {
    this.#asked = true;
    if (this.#drawing) return;
    this.#drawing = true;
    const rest = this.#began + ROUND_MS - performance.now();
    setTimeout(() => requestAnimationFrame((now) => this.#begin(now)), rest);
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
    this.changed(); // others are in sight
    return shown;
  }

  /** @param {string} stock the one that the chart shows, wherever it is traded */
  mark(stock) {
    this.#chosen = stock;
    for (const row of this.#rows.values()) this.#press(row);
  }

  /** @param {number} now */
  #begin(now) {
    this.#asked = false;
    this.#began = now;
    for (const quote of this.#board.takeChanged()) {
      const row = this.#rows.get(quote);
      if (row) this.#due.add(row);
      else this.#insert(quote, now);
    }
    this.#look();
    this.#draw(now);
  }

  /** @param {number} now */
  #draw(now) {
    if (this.#drawRows(now, true, IN_SIGHT)) {
      requestAnimationFrame((next) => this.#draw(next));
      return;
    }
    this.#drawing = false;
    if (this.#drawRows(now, false, OUT_OF_SIGHT) || this.#asked) this.changed();
  }

  /**
   * Draws so many of the rows that are due, and says whether there are more.
   * @param {number} now
   * @param {boolean} inSight
   * @param {number} most
   */
  #drawRows(now, inSight, most) {
    const server = serverNow();
    for (const row of this.#due) {
      if (row.inSight !== inSight) continue;
      if (most === 0) return true;
      most -= 1;
      this.#due.delete(row);
      row.draw(server, now);
    }
    return false;
  }

  /** Which rows are in sight. All are of one height: that is cheaper than what an observer of each costs. */
  #look() {
    const { top, bottom } = this.#scroller.getBoundingClientRect();
    const [from, to] = [Math.max(top, 0), Math.min(bottom, innerHeight)];
    for (const { heading, rows } of this.#groups.values()) {
      const shown = rows.filter(({ element }) => !element.hidden);
      const height = shown[0]?.element.offsetHeight ?? 0;
      let at = heading.getBoundingClientRect().bottom;
      for (const row of shown) {
        const inSight = at < to && at + height > from;
        if (inSight && !row.inSight) this.#due.add(row); // it may be seconds old
        row.inSight = inSight;
        at += height;
      }
    }
  }

  /**
   * @param {Quote} quote
   * @param {number} now
   */
  #insert(quote, now) {
    const row = new Row(quote);
    row.draw(serverNow(), now);
    const { body, names, rows } = this.#group(quote.exchange);
    const at = position(names, quote.stock);
    names.splice(at, 0, quote.stock);
    rows.splice(at, 0, row);
    body.insertBefore(row.element, body.rows[at + 1] ?? null); // below the group's heading
    this.#rows.set(quote, row);
    this.#byElement.set(row.element, row);
    this.#press(row);
    if (this.#showOrHide(row)) body.hidden = false;
    this.#onNewStock(quote.stock);
  }

  /** @param {string} exchange */
  #group(exchange) {
    const known = this.#groups.get(exchange);
    if (known) return known;
    const heading = made("tr", "row");
    /** @type {Group} */
    const group = { body: made("tbody", "rowgroup"), heading, names: [], rows: [] };
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

  /** @param {EventTarget | null} target */
  #choose(target) {
    const element = target instanceof Element && target.closest("button.stock")?.closest("tr");
    const row = element && this.#byElement.get(element);
    if (!row) return;
    const { stock, exchange } = row.quote;
    document.dispatchEvent(new CustomEvent("stockchosen", { detail: { stock, exchange } }));
  }

  /** @param {Row} row */
  #press({ button, element, quote: { stock } }) {
    const pressed = stock === this.#chosen;
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
