// The live table: at most one drawing a frame, and only of cells whose text changes.

import { serverNow } from "./api.js";
import { digitSpans, setText, showDigits, span } from "./cells.js";
import { ageText, change, isStale, priceText } from "./format.js";

/** @import { Board, Quote } from "./ticks.js" */
/** @typedef {{body: HTMLTableSectionElement, names: string[]}} Group */
/**
 * @typedef {object} Cells of a row
 * @property {HTMLTableRowElement} row
 * @property {HTMLCollection} price
 * @property {HTMLTableCellElement} moved
 * @property {Element} arrow
 * @property {Element} spoken
 * @property {Element[]} amount
 * @property {HTMLTableCellElement} age
 */

const ARROWS = { up: "▲", down: "▼", same: "＝", none: "" };
const SPOKEN = { up: "up ", down: "down ", same: "unchanged ", none: "" };

export class LiveTable {
  #board;
  #table;
  /** @type {Map<Quote, Cells>} */
  #rows = new Map(); // quote → its row's cells
  /** @type {Map<string, Group>} */
  #groups = new Map(); // exchange → { body, names }, both in order of name
  #frame = 0;
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
  }

  changed() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** Called every second: ages grow without any tick. */
  showAges() {
    for (const [quote, cells] of this.#rows) showAge(quote, cells);
  }

  #draw() {
    this.#frame = 0;
    for (const quote of this.#board.takeChanged()) {
      let cells = this.#rows.get(quote);
      if (!cells) {
        cells = this.#insert(quote);
        this.#rows.set(quote, cells);
        this.#onNewStock(quote.stock);
      }
      showDigits(cells.price, priceText(quote.price));
      showChange(cells, change(quote.price, quote.previous));
      showAge(quote, cells);
    }
  }

  /** @param {Quote} quote */
  #insert(quote) {
    const { body, names } = this.#group(quote.exchange);
    const at = position(names, quote.stock);
    names.splice(at, 0, quote.stock);
    const row = body.insertRow(at + 1); // below the group's heading
    row.dataset.exchange = quote.exchange;
    row.dataset.stock = quote.stock;
    row.append(heading("row", quote.stock));
    const [price, moved, age] = [0, 1, 2].map(() => row.insertCell());
    for (const cell of [price, moved, age]) cell.className = "number";
    price.append(...digitSpans());
    const [arrow, spoken, ...amount] = [span("arrow"), span("spoken"), ...digitSpans()];
    arrow.setAttribute("aria-hidden", "true");
    moved.append(arrow, spoken, ...amount);
    return { row, price: price.children, moved, arrow, spoken, amount, age };
  }

  /** @param {string} exchange */
  #group(exchange) {
    const known = this.#groups.get(exchange);
    if (known) return known;
    /** @type {Group} */
    const group = { body: document.createElement("tbody"), names: [] };
    const title = heading("rowgroup", exchange);
    title.colSpan = 4;
    group.body.insertRow().append(title);
    group.body.rows[0].className = "group";
    const later = [...this.#groups.keys()].filter((name) => name > exchange).sort()[0];
    this.#table.insertBefore(group.body, (later && this.#groups.get(later)?.body) || null);
    this.#groups.set(exchange, group);
    return group;
  }
}

/**
 * @param {Cells} cells
 * @param {ReturnType<typeof change>} moved
 */
function showChange({ moved, arrow, spoken, amount }, { direction, text }) {
  if (moved.dataset.direction !== direction) moved.dataset.direction = direction;
  setText(arrow, ARROWS[direction]);
  setText(spoken, SPOKEN[direction]);
  showDigits(amount, text);
}

/**
 * @param {Quote} quote
 * @param {Cells} cells
 */
function showAge(quote, { row, age }) {
  const ms = serverNow() - quote.id[0];
  row.classList.toggle("stale", isStale(ms));
  setText(age, isStale(ms) ? `stale, ${ageText(ms)}` : ageText(ms));
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

/**
 * @param {string} scope
 * @param {string} text
 */
function heading(scope, text) {
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = text;
  return cell;
}
