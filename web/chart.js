// The chart of one stock: its candles from the api, then live on the same chart.

import { changed, readCharted } from "./address.js";
import { serverNow, wordsOf } from "./api.js";
import { checkStored, keepWhole, load } from "./candle_source.js";
import { Candles, WIDTHS } from "./candles.js";
import { setText } from "./cells.js";
import { ChartText } from "./chart_text.js";
import { onChoice, press } from "./choices.js";
import { element } from "./page_elements.js";
import { pause } from "./pause.js";
import { openPlot } from "./plot.js";
import { MINUTE } from "./range.js";

/** @typedef {import("./candles.js").Tick} Tick */
/** @typedef {import("./candle_source.js").Snapshots & Followed} Source the board */
/** @typedef {{follow(stock: string, listener: (tick: Tick) => void): () => void}} Followed
 * It calls the listener with each merged tick, and returns how to stop that. */

const LONGEST_PAUSE = 30_000; // ms
const FIRST_PRICE = 2000; // ms: the live prices come first
const DRAWN_EVERY = 400; // ms
const RESTED = 1000; // ms between two texts about what is in sight

export class LiveChart {
  #board;
  #onStock;
  /** @type {string | null} */
  #stock = null;
  #width = "1m";
  /** @type {"candles" | "line"} */
  #kind = "candles";
  #candles = new Candles(MINUTE);
  /** @type {Candles | null} those that are being loaded; the feed's ticks go to both */
  #next = null;
  #running = new AbortController();
  #unfollow = () => {};
  /** @type {import("./plot.js").Plot | null} */
  #plot = null;
  /** @type {Set<number> | null} starts of candles that changed since they were drawn; null: draw all */
  #changed = null;
  /** @type {ReturnType<typeof setTimeout> | 0} */
  #waiting = 0;
  #drawn = -Infinity;
  #text = new ChartText();

  /** @param {Source} board @param {(stock: string) => void} onStock told which stock is shown now */
  constructor(board, onStock) {
    this.#board = board;
    this.#onStock = onStock;
  }

  /** Listens to the page; the chart itself begins with a stock. */
  start() {
    this.#text.start();
    document.addEventListener("stockchosen", (event) => {
      this.choose(/** @type {CustomEvent} */ (event).detail.stock);
    });
    addEventListener("popstate", () => this.#readAddress());
    onChoice("chart-widths", (value) => this.#remember({ width: value }));
    onChoice("chart-kinds", (value) => this.#remember({ kind: value }));
    setInterval(() => this.#tellSight(), RESTED);
    setTimeout(() => this.#begin(null), FIRST_PRICE); // without prices, what the address names
  }

  /** A stock that there is: the first one is shown unless the address names another. @param {string} stock */
  offer(stock) {
    this.#begin(stock);
  }

  /** @param {string | null} stock */
  #begin(stock) {
    if (this.#stock !== null) return;
    const charted = readCharted(location.search);
    this.#show({ ...charted, stock: charted.stock ?? stock });
  }

  /** @param {string} stock */
  choose(stock) {
    if (stock !== this.#stock) this.#remember({ chart: stock });
  }

  /** Ask the api for everything again: the feed has missed something. */
  reload() {
    if (this.#stock !== null) this.#load(this.#stock);
  }

  /** @param {Record<string, string>} changes to the address */
  #remember(changes) {
    const all = this.#stock === null ? changes : { chart: this.#stock, ...changes };
    history.replaceState(history.state, "", changed(location.search, all));
    this.#readAddress();
  }

  #readAddress() {
    const charted = readCharted(location.search);
    this.#show({ ...charted, stock: charted.stock ?? this.#stock });
  }

  /** @param {import("./address.js").Charted} charted */
  #show({ stock, width, kind }) {
    press("chart-widths", width);
    press("chart-kinds", kind);
    this.#text.kind = kind;
    const same = stock === this.#stock && width === this.#width;
    [this.#stock, this.#width, this.#kind] = [stock, width, kind];
    if (stock === null) return;
    if (same) return this.#draw(null);
    setText(element("chart-stock"), stock);
    this.#onStock(stock);
    this.#candles = new Candles(WIDTHS[width]);
    this.#follow(stock);
    this.#draw(null);
    this.#load(stock);
  }

  /** @param {string} stock */
  #follow(stock) {
    this.#unfollow();
    this.#unfollow = this.#board.follow(stock, (tick) => {
      this.#next?.addTick(tick);
      const start = this.#candles.addTick(tick);
      if (start !== null) this.#draw(start);
    });
  }

  /** Until it has succeeded, or something else is to be shown. @param {string} stock */
  async #load(stock) {
    this.#running.abort();
    const { signal } = (this.#running = new AbortController());
    if (this.#candles.from === -Infinity) this.#text.message("Loading…");
    const next = new Candles(WIDTHS[this.#width]);
    this.#next = next;
    for (let wait = 1000; ; wait = Math.min(2 * wait, LONGEST_PAUSE)) {
      try {
        await checkStored(this.#board, stock, signal);
        const at = serverNow();
        const until = await load(next, stock, at, signal);
        if (signal.aborted) return;
        const first = this.#candles.from === -Infinity;
        [this.#candles, this.#next] = [next, null];
        this.#text.message(this.#candles.all().length ? "" : "There is no price yet.");
        this.#draw(null);
        if (first) this.#plot?.reset();
        return keepWhole(next, stock, { at, until }, () => this.#draw(null), signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#text.message(`The past can't be shown yet: ${wordsOf(error)}`);
      }
      await pause(wait, signal);
    }
  }

  /**
   * Some times a second, which is enough for eyes, and leaves the frames to the table.
   * @param {number | null} start of a candle that changed; null for all
   */
  #draw(start) {
    if (start === null) this.#changed = null;
    else this.#changed?.add(start);
    this.#later(Math.max(0, this.#drawn + DRAWN_EVERY - performance.now()));
  }

  /** @param {number} ms */
  #later(ms) {
    this.#waiting ||= setTimeout(() => requestAnimationFrame(() => this.#drawNow()), ms);
  }

  async #drawNow() {
    try {
      this.#plot ??= await this.#open();
      this.#waiting = 0;
    } catch (error) {
      this.#text.hindrance(wordsOf(error));
      this.#waiting = 0;
      this.#later(LONGEST_PAUSE);
      return;
    }
    this.#drawn = performance.now();
    const starts = this.#changed && [...this.#changed].sort((a, b) => a - b);
    this.#changed = new Set();
    const plot = this.#plot;
    const done = starts?.every((start) => {
      const candle = this.#candles.at(start);
      return candle !== null && plot.update(candle);
    });
    if (!done) plot.show(this.#kind, this.#candles.all());
    if (!done) this.#tellSight();
  }

  async #open() {
    const plot = await openPlot(element("chart"));
    this.#text.attach(plot, () => this.#candles.all());
    this.#text.hindrance("");
    return plot;
  }

  #tellSight() {
    if (this.#plot && this.#stock !== null) this.#text.sight(this.#stock, this.#width);
  }
}
