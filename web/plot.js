// A drawn chart: the library, fetched when the first chart is wanted, in the page's colours and the viewer's zone.

import { decimals, labelText, localScale, pointTime } from "./axis.js";

/** @typedef {{start: number, open?: number, high?: number, low?: number, close: number}} Drawn
 * `start` in ms since 1970; a point has only its price, as `close`. */
/** @typedef {"candles" | "line"} Kind */

const LIBRARY = "/vendor/lightweight-charts.standalone.production.js";
const DARK = "(prefers-color-scheme: dark)";
const STILL = "(prefers-reduced-motion: reduce)";
const FEW = 60; // points that are drawn one by one
/** @type {Promise<any> | null} */
let library = null;
let failures = 0;

/** Rejects when the library can't be had; the next call tries again. */
function fetchLibrary() {
  // Some browsers keep a failed import for good: another address is another import.
  library ??= import(failures ? `${LIBRARY}?again=${failures}` : LIBRARY).then(
    () => /** @type {any} */ (globalThis).LightweightCharts,
    () => {
      library = null;
      failures += 1;
      throw new Error("The program that draws charts can't be loaded.");
    },
  );
  return library;
}

/** @param {HTMLElement} container of a height of its own @returns {Promise<Plot>} */
export async function openPlot(container) {
  return new Plot(container, await fetchLibrary());
}

export class Plot {
  #charts;
  #chart;
  /** @type {any} */
  #series = null;
  /** @type {Kind | null} */
  #kind = null;
  #last = -Infinity;

  /** @param {HTMLElement} container @param {any} charts the library */
  constructor(container, charts) {
    this.#charts = charts;
    this.#chart = charts.createChartEx(container, localScale(charts.defaultHorzScaleBehavior()), options());
    container.firstElementChild?.setAttribute("aria-hidden", "true"); // its words are beside it
    matchMedia(DARK).addEventListener("change", () => this.#recolour());
    // The wheel is the page's own until somebody has turned to the chart.
    const wheel = (/** @type {boolean} */ mouseWheel) => {
      this.#chart.applyOptions({ handleScroll: { mouseWheel }, handleScale: { mouseWheel } });
    };
    container.addEventListener("focus", () => wheel(true));
    container.addEventListener("blur", () => wheel(false));
  }

  /** Draw these instead of what is drawn, oldest first. @param {Kind} kind @param {readonly Drawn[]} data */
  show(kind, data) {
    if (kind !== this.#kind) {
      if (this.#series) this.#chart.removeSeries(this.#series);
      const { CandlestickSeries, LineSeries } = this.#charts;
      this.#series = this.#chart.addSeries(kind === "line" ? LineSeries : CandlestickSeries, seriesColours());
      this.#kind = kind;
    }
    const digits = decimals(data.map(({ close }) => close));
    const formatter = (/** @type {number} */ price) => price.toFixed(digits);
    this.#series.applyOptions({
      pointMarkersVisible: data.length <= FEW,
      priceFormat: { type: "custom", formatter, minMove: 10 ** -digits, base: 10 ** digits },
    });
    this.#series.setData(data.map((each) => this.#item(each)));
    this.#last = data.at(-1)?.start ?? -Infinity;
  }

  /** Nothing is drawn. */
  clear() {
    this.#series?.setData([]);
    this.#last = -Infinity;
  }

  /** The last one, changed, or one after it; false if it is neither. @param {Drawn} drawn */
  update(drawn) {
    if (drawn.start < this.#last || !this.#series) return false;
    this.#series.update(this.#item(drawn));
    this.#last = drawn.start;
    return true;
  }

  /** Show all of it. */
  fit() {
    this.#chart.timeScale().fitContent();
  }

  /** Show the newest, at the usual width of a candle. */
  reset() {
    this.#chart.timeScale().resetTimeScale();
    this.#chart.timeScale().scrollToRealTime();
  }

  /** The first and the last index in sight. @returns {[number, number]} */
  inSight() {
    const range = this.#chart.timeScale().getVisibleLogicalRange();
    return range ? [Math.max(0, Math.ceil(range.from)), Math.floor(range.to)] : [0, -1];
  }

  /** @param {number} factor above 1: fewer, larger candles */
  zoom(factor) {
    const scale = this.#chart.timeScale();
    const spacing = scale.options().barSpacing * factor;
    scale.applyOptions({ barSpacing: Math.min(60, Math.max(0.5, spacing)) });
  }

  /** Mark one, and bring it into sight. @param {Drawn | null} drawn @param {number} fromEnd how many are after it */
  mark(drawn, fromEnd) {
    if (!drawn) return this.#chart.clearCrosshairPosition();
    const scale = this.#chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const width = range ? range.to - range.from : 0;
    const position = scale.scrollPosition();
    if (-fromEnd > position) scale.scrollToPosition(-fromEnd, false);
    else if (-fromEnd < position - width + 1) scale.scrollToPosition(width - fromEnd - 1, false);
    this.#chart.setCrosshairPosition(drawn.close, drawn.start / 1000, this.#series);
  }

  /** @param {(start: number | null) => void} listener told where the pointer is, in ms */
  onPointer(listener) {
    this.#chart.subscribeCrosshairMove((/** @type {any} */ { time, sourceEvent }) => {
      if (sourceEvent || time === undefined) listener(time === undefined ? null : time * 1000);
    });
  }

  /** @param {Drawn} drawn */
  #item({ start, open, high, low, close }) {
    const time = start / 1000;
    return this.#kind === "line" ? { time, value: close } : { time, open, high, low, close };
  }

  #recolour() {
    this.#chart.applyOptions(colours());
    this.#series?.applyOptions(seriesColours());
  }
}

/** @param {string} name of a custom property of style.css */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options() {
  const { layout, timeScale, ...rest } = colours();
  return {
    ...rest,
    autoSize: true,
    // The logo brings a <style>, which the page's policy forbids; a link beside the chart says the same.
    layout: { ...layout, fontFamily: "system-ui, sans-serif", attributionLogo: false },
    timeScale: {
      ...timeScale,
      timeVisible: true,
      secondsVisible: true,
      rightOffset: 2,
      tickMarkFormatter: labelText,
    },
    localization: { timeFormatter: pointTime },
    crosshair: { mode: 0 },
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
    kineticScroll: { mouse: false, touch: !matchMedia(STILL).matches },
  };
}

/** Only these when they change: an option of the time scale would move it. */
function colours() {
  const [ground, ink, line] = ["--surface", "--ink", "--line"].map(colour);
  return {
    layout: { background: { type: "solid", color: ground }, textColor: ink },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    rightPriceScale: { borderColor: line, minimumWidth: 64 },
    timeScale: { borderColor: line },
  };
}

/** A candle that rose is hollow, one that fell is full: not told by colour alone. */
function seriesColours() {
  const [ground, up, down, accent] = ["--surface", "--up", "--down", "--accent"].map(colour);
  return {
    color: accent,
    lineWidth: 2,
    upColor: ground,
    downColor: down,
    borderUpColor: up,
    borderDownColor: down,
    wickUpColor: up,
    wickDownColor: down,
    priceLineColor: accent,
  };
}
