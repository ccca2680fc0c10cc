// One row of the live table: its cells, and what they show of a quote.

import { setText, showDigits, span } from "./cells.js";
import { ageText, change, isStale, percentText, priceText, rateText } from "./format.js";
import { drawing, linePath } from "./sparkline.js";

/** @import { Quote } from "./quote.js" */

const ARROWS = { up: "▲", down: "▼", same: "=", none: "" };
const SPOKEN = { up: "up ", down: "down ", same: "unchanged ", none: "" };
const LONG = 12; // digits; more don't fit beside each other
const REDRAW_MS = 2000; // of sixty points a second one is new
let rows = 0;

export class Row {
  inSight = true; // as the table last saw
  #price = numberCell();
  #change = made("td", "cell");
  #age = numberCell();
  #rate = numberCell();
  #path;
  #arrow = span("arrow");
  #spoken = span("spoken");
  #amount = span("end amount");
  #percent = span("end percent");
  #trendAt;

  /** @param {Quote} quote */
  constructor(quote) {
    this.quote = quote;
    this.element = made("tr", "row");
    this.element.dataset.exchange = quote.exchange;
    this.element.dataset.stock = quote.stock;
    this.button = nameButton(quote);
    const { svg, path } = drawing();
    this.#path = path;
    this.#price.cell.classList.add("price");
    this.#arrow.setAttribute("aria-hidden", "true");
    this.#change.className = "number change";
    this.#change.append(this.#arrow, this.#spoken, this.#amount, this.#percent);
    const trend = made("td", "cell");
    trend.className = "trend";
    trend.append(svg);
    this.#rate.cell.classList.add("rate");
    this.element.append(rowHead(this.button), this.#price.cell, this.#change, trend);
    this.element.append(this.#rate.cell, this.#age.cell);
    rows += 1;
    this.#trendAt = -REDRAW_MS + ((rows * 137) % REDRAW_MS); // not all in the same frame
  }

  /**
   * @param {number} serverNow
   * @param {number} now by the page's own clock
   */
  draw(serverNow, now) {
    const { price, previous, reference, rate, trail } = this.quote;
    const digits = priceText(price);
    const { cell, value } = this.#price;
    showDigits(value, digits);
    mark(cell, "long", digits.length > LONG);
    mark(cell, "rose", previous !== null && price > previous);
    mark(cell, "fell", previous !== null && price < previous);
    this.#showChange(change(price, reference), percentText(price, reference));
    setText(this.#rate.value, rateText(rate));
    this.#showAge(serverNow - this.quote.id[0]);
    if (!this.inSight || now - this.#trendAt < REDRAW_MS) return;
    this.#trendAt = now;
    const line = linePath(trail);
    if (this.#path.getAttribute("d") !== line) this.#path.setAttribute("d", line);
  }

  /**
   * @param {ReturnType<typeof change>} moved
   * @param {string} percent
   */
  #showChange({ direction, text }, percent) {
    if (this.#change.dataset.direction !== direction) this.#change.dataset.direction = direction;
    setText(this.#arrow, ARROWS[direction]);
    setText(this.#spoken, SPOKEN[direction]);
    showDigits(this.#amount, text);
    setText(this.#percent, ` ${percent}`); // not run together where it is copied
    mark(this.#change, "long", text.length > LONG);
  }

  /** @param {number} ms */
  #showAge(ms) {
    const stale = isStale(ms);
    mark(this.element, "stale", stale);
    setText(this.#age.value, stale ? `stale ${ageText(ms)}` : ageText(ms));
  }
}

/**
 * An element of a table that says so: laid out as grids they are no table to every browser.
 * @template {"tr" | "td" | "th" | "tbody"} T
 * @param {T} tag
 * @param {string} role
 */
export function made(tag, role) {
  const element = document.createElement(tag);
  element.setAttribute("role", role);
  return element;
}

function numberCell() {
  const cell = made("td", "cell");
  cell.className = "number";
  const value = span("end value");
  cell.append(value);
  return { cell, value };
}

/** @param {Quote} quote */
function nameButton({ stock }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "stock";
  button.title = stock;
  button.setAttribute("aria-pressed", "false");
  const name = document.createElement("bdi"); // a name's direction is its own business
  name.textContent = stock;
  button.append(name);
  return button;
}

/** @param {HTMLButtonElement} button */
function rowHead(button) {
  const head = made("th", "rowheader");
  head.scope = "row";
  head.append(button);
  return head;
}

/**
 * @param {Element} node
 * @param {string} name
 * @param {boolean} on
 */
function mark(node, name, on) {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
}
