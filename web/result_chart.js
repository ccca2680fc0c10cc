// The chart of a history's result: each point where they are few, else candles that fit the range.

import { MOST_CANDLES, getJson, wordsOf } from "./api.js";
import { down, folded, fromRow } from "./candles.js";
import { countText } from "./format.js";
import { element } from "./page_elements.js";
import { openPlot } from "./plot.js";
import { MINUTE, fineStep, fittingStep, widthText } from "./range.js";

/** @import { Page, Point, Query } from "./results.js" */
/** @typedef {{kind: import("./plot.js").Kind, data: import("./plot.js").Drawn[], text: string}} Drawing */

const MOST = 1000; // candles of the api
const FEW = 30; // candles that say little: then the points are read, if they are not too many
const FINEST = 300;
const MOST_POINTS = 50_000;

/** @type {Promise<import("./plot.js").Plot> | null} */
let plot = null;

/**
 * @param {Page} page the first
 * @param {Query} query
 * @param {number} count of all points
 * @param {AbortSignal} signal
 */
export async function showChart(page, query, count, signal) {
  const words = element("history-chart-text");
  words.textContent = "The chart is being loaded."; // it is the chart's name, too
  plot?.then(
    (opened) => opened.clear(), // not what was asked before, under what is asked now
    () => {},
  );
  try {
    const drawing = await drawingOf(page, query, count, signal);
    const opened = await open();
    if (signal.aborted) return;
    opened.show(drawing.kind, drawing.data);
    opened.fit();
    words.textContent = drawing.text;
  } catch (error) {
    if (signal.aborted) return;
    words.textContent = `The chart can't be shown: ${wordsOf(error)}`;
  }
}

/** One that can't be opened is tried anew with the next question. */
function open() {
  plot ??= openPlot(element("history-chart")).catch((error) => {
    plot = null;
    throw error;
  });
  return plot;
}

/**
 * @param {Page} page
 * @param {Query} query
 * @param {number} count
 * @param {AbortSignal} signal
 * @returns {Promise<Drawing>}
 */
async function drawingOf({ prices, next_cursor: next }, query, count, signal) {
  if (next === null) {
    const text = count === 1 ? "The only point." : `Each of the ${countText(count)} points.`;
    return { kind: "line", data: points(prices), text };
  }
  const start = Date.parse(prices[0].timestamp);
  const span = Date.parse(query.end_time) - start;
  const [interval, width] = fittingStep(span, MOST);
  if (span < FEW * width && count <= MOST_POINTS) {
    const step = fineStep(span, FINEST);
    const all = await getJson("/api/prices", { ...query, limit: MOST_POINTS }, signal);
    const read = all.prices.map((/** @type {Point} */ { timestamp, price }) => {
      return { ms: Date.parse(timestamp), price };
    });
    return candles(folded(read, step), step);
  }
  const start_time = new Date(down(start, width)).toISOString();
  const answer = await getJson(
    "/api/candles",
    { ...query, start_time, interval, limit: MOST_CANDLES },
    signal,
  );
  return candles(answer.candles.map(fromRow), width);
}

/**
 * @param {import("./candles.js").Candle[]} data
 * @param {number} width
 * @returns {Drawing}
 */
function candles(data, width) {
  const whole = width < MINUTE ? "" : " The first and the last are whole, also beyond the range.";
  const text = `${countText(data.length)} × ${widthText(width)}: open, high, low and close.${whole}`;
  return { kind: "candles", data, text };
}

/** @param {Point[]} prices */
function points(prices) {
  let last = -Infinity;
  return prices.map(({ timestamp, price }) => {
    // Each needs a place of its own; what a Date leaves out comes from the text.
    const micros = Number(/\.\d{3}(\d{3})/.exec(timestamp)?.[1] ?? 0) / 1000;
    last = Math.max(Date.parse(timestamp) + micros, last + 0.001);
    return { start: last, close: price };
  });
}
