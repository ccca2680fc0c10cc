// The page: wires the board, its table, the live feed, the strip on top and the history form together.

import { serverNow, wordsOf } from "./api.js";
import { setText } from "./cells.js";
import { LiveChart } from "./chart.js";
import { lastTick, next, opened, view } from "./connection.js";
import { ageText, clockTime, countText, isStale, zoneText } from "./format.js";
import { showGaps } from "./gaps.js";
import { History } from "./history.js";
import { LiveFeed } from "./live.js";
import { element } from "./page_elements.js";
import { StatusStrip, showGrafana } from "./status.js";
import { LiveTable } from "./table.js";
import { Board } from "./ticks.js";

/** @import { Event } from "./connection.js" */

const SECOND_MS = 1000;
const SLEPT_MS = 10_000; // a second that took so long: the computer slept, or the page was put aside
const SETTLED_MS = 500;
const MANY = 20; // stocks; a filter is worth its place
const TITLE = document.title;

const board = new Board();
const past = new History();
const chart = new LiveChart(board, (stock) => table.mark(stock));
const table = new LiveTable(board, element("live-table", HTMLTableElement), (stock) => {
  element("live-empty").hidden = true;
  past.suggest(stock);
  chart.offer(stock);
  if (table.size > MANY) element("filter-field").hidden = false;
});
let connection = opened(serverNow());
/** @type {string[]} */
let said = [];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let speaking;
let measured = performance.now();
let lastSecond = Date.now();
let news = { merged: 0, at: performance.now() }; // the ticks so far, and when the last ones came
let counts = { skipped: 0, refused: 0 };

/** @param {Event} event */
function happened(event) {
  const was = connection;
  connection = next(was, event);
  if (connection.feed === "live" && was.feed !== "live" && was.away) strip.ask(); // it may be back too
  if (connection.gapCount !== was.gapCount) {
    setText(element("gaps"), countText(connection.gapCount));
    showGaps({ summary: element("gap-summary"), list: element("gap-list") }, connection.gaps);
  }
  showConnection();
}

/** ms, by the server's clock; null before there is one */
const newest = () => lastTick(board.newest?.[0] ?? null, serverNow(), performance.now() - news.at);

function showConnection() {
  const shown = view(connection, serverNow(), newest());
  const { name, label, detail, notice, spoken } = shown;
  if (element("state").dataset.state !== name) element("state").dataset.state = name;
  setText(element("state"), label);
  setText(element("state-detail"), detail);
  element("reconnect").hidden = name !== "disconnected";
  element("live-notice").hidden = !notice;
  setText(element("live-notice"), notice);
  document.title = name === "live" || name === "connecting" ? TITLE : `${label} – ${TITLE}`;
  speak(spoken);
}

/**
 * Says what is new, once it has settled: several things change within moments.
 * @param {string[]} sentences all that is true now
 */
function speak(sentences) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    const fresh = sentences.filter((sentence) => !said.includes(sentence));
    said = sentences;
    if (fresh.length) setText(element("announce"), fresh.join(" "));
  }, SETTLED_MS);
}

function showFacts() {
  const last = newest();
  if (last !== null) {
    const ms = serverNow() - last;
    setText(element("last-tick"), isStale(ms) ? `stale, ${ageText(ms)}` : ageText(ms));
    element("last-tick").classList.toggle("stale", isStale(ms));
  }
  setText(element("conflated"), countText(board.skipped));
  setText(element("refused"), countText(board.refused));
}

/** What the board counted since the last look. */
function lookAtCounts() {
  const at = serverNow();
  const { skipped, refused } = board;
  if (skipped > counts.skipped) happened({ type: "conflated", at, skipped: skipped - counts.skipped });
  if (refused > counts.refused) happened({ type: "refused", at, why: board.refusal });
  counts = { skipped, refused };
}

const feed = new LiveFeed(board, {
  changed() {
    if (board.merged !== news.merged) news = { merged: board.merged, at: performance.now() };
    table.changed();
  },
  state: (state) => happened({ type: "feed", at: serverNow(), feed: state }),
  missed(gap) {
    happened({ type: "gap", at: serverNow(), gap });
    chart.reload();
  },
  recovered: (since) => happened({ type: "recovered", at: serverNow(), since }),
  snapshot: (problem) => happened({ type: "snapshot", at: serverNow(), problem }),
});
const strip = new StatusStrip(
  element("system"),
  (problem) => happened({ type: "backend", at: serverNow(), problem }),
  () => chart.reload(), // it may have a hole
);

/** @param {() => unknown} step */
async function go(step) {
  try {
    await step();
  } catch (error) {
    happened({ type: "failed", at: serverNow(), problem: wordsOf(error) });
  }
}

function everySecond() {
  const slept = Date.now() - lastSecond > SLEPT_MS;
  lastSecond = Date.now();
  if (slept && !document.hidden) feed.wake(); // a hidden page has slow seconds, and wakes when it is seen
  const now = performance.now();
  board.measure(now - measured);
  measured = now;
  lookAtCounts();
  showFacts();
  showConnection();
  table.tickClock();
}

function sayReference() {
  setText(element("since"), `since ${clockTime(new Date()).slice(0, 5)}`);
}

function resetReference() {
  board.resetReference();
  sayReference();
  table.changed();
}

function filter() {
  const text = element("filter", HTMLInputElement).value;
  const shown = table.filter(text);
  setText(element("filter-count"), text ? `${countText(shown)} of ${countText(table.size)}` : "");
}

element("reconnect").addEventListener("click", () => go(() => feed.connect()));
element("reset").addEventListener("click", resetReference);
element("filter").addEventListener("input", filter);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) feed.wake();
});
setText(element("zone"), `Times: ${zoneText(new Date())}`);
sayReference();
past.start();
chart.start();
strip.start();
showGrafana(element("grafana"));
go(() => feed.start());
setInterval(everySecond, SECOND_MS);
