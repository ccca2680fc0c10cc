// What the chart shows, in words: the candle that is pointed at, and a summary of those in sight.

import { pointTime } from "./axis.js";
import { WIDTHS, joined } from "./candles.js";
import { setText } from "./cells.js";
import { countText, priceText } from "./format.js";
import { element } from "./page_elements.js";
import { widthText } from "./range.js";

/** @typedef {import("./candles.js").Candle} Candle */
/** @typedef {import("./plot.js").Plot} Plot */

const FACTS = /** @type {const} */ (["open", "high", "low", "close"]);
const ZOOM = 1.25;

/** @param {Candle} candle */
function read({ start, open, high, low, close, count }) {
  const prices = Object.entries({ open, high, low, close }).map(
    ([name, price]) => `${name} ${priceText(price)}`,
  );
  return `${pointTime(start / 1000)}: ${prices.join(", ")}, ${ticks(count)}`;
}

/** @param {number} count */
const ticks = (count) => `${countText(count)} ${count === 1 ? "tick" : "ticks"}`;

export class ChartText {
  /** @type {Plot | null} */
  #plot = null;
  /** @type {() => Candle[]} */
  #candles = () => [];
  /** @type {number | null} the start of the candle that the keys have reached */
  #marked = null;
  /** @type {"candles" | "line"} */
  kind = "candles";
  #message = "Waiting for the first price…";
  #hindrance = "";

  start() {
    element("chart").addEventListener("keydown", (event) => {
      if (!event.altKey && !event.ctrlKey && !event.metaKey && this.#press(event.key)) event.preventDefault();
    });
  }

  /** @param {Plot} plot @param {() => Candle[]} candles those that are drawn */
  attach(plot, candles) {
    this.#plot = plot;
    this.#candles = candles;
    plot.onPointer((start) => {
      const candle = start === null ? null : candles().find((each) => each.start === start);
      setText(element("chart-reading"), candle ? read(candle) : "");
    });
  }

  /** What stands over the chart as long as there is nothing to see, or something is wrong. @param {string} text */
  message(text) {
    this.#message = text;
    setText(element("chart-message"), this.#hindrance || text);
  }

  /** Why nothing can be drawn at all, which goes before any message. @param {string} text empty: nothing is wrong */
  hindrance(text) {
    this.#hindrance = text;
    this.message(this.#message);
  }

  /** @param {string} stock @param {string} width */
  sight(stock, width) {
    const [from, to] = this.#plot?.inSight() ?? [0, -1];
    const seen = this.#candles().slice(from, to + 1);
    const whole = joined(seen, seen[0]?.start ?? 0);
    const kind = this.kind === "line" ? "the closing prices" : "candles";
    element("chart").setAttribute("aria-label", `${stock}, ${kind} of ${widthText(WIDTHS[width])}`);
    for (const name of FACTS) setText(element(`chart-${name}`), whole ? priceText(whole[name]) : "–");
    setText(element("chart-count"), whole ? countText(whole.count) : "–");
    const [first, last] = [seen[0], seen[seen.length - 1]].map(
      (each) => each && pointTime(each.start / 1000),
    );
    const text = whole
      ? `In sight: ${countText(seen.length)} × ${widthText(WIDTHS[width])}, ${first} to ${last}`
      : "\u00a0";
    setText(element("chart-range"), text);
  }

  /** @param {string} key @returns {boolean} whether it means something here */
  #press(key) {
    const plot = this.#plot;
    if (!plot) return false;
    if (key === "+" || key === "=") plot.zoom(ZOOM);
    else if (key === "-") plot.zoom(1 / ZOOM);
    else if (key === "Escape") this.#mark(plot, [], -1);
    else if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(key)) this.#step(plot, key);
    else return false;
    return true;
  }

  /** @param {Plot} plot @param {string} key */
  #step(plot, key) {
    const candles = this.#candles();
    const last = candles.length - 1;
    const [from, to] = plot.inSight();
    const at = candles.findIndex(({ start }) => start === this.#marked);
    const places = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: from, End: to };
    const place = at < 0 && key.startsWith("Arrow") ? to : places[/** @type {keyof typeof places} */ (key)];
    this.#mark(plot, candles, Math.max(0, Math.min(last, place)));
  }

  /** @param {Plot} plot @param {Candle[]} candles @param {number} index */
  #mark(plot, candles, index) {
    const candle = candles[index] ?? null;
    this.#marked = candle?.start ?? null;
    plot.mark(candle, candles.length - 1 - index);
    setText(element("chart-reading"), candle ? read(candle) : "");
  }
}
