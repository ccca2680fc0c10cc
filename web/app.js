// The page: wires the board, its table, the live feed and the history form together.

import { serverNow } from "./api.js";
import { setText } from "./cells.js";
import { ageText, clockTime, countText, isStale } from "./format.js";
import { History } from "./history.js";
import { LiveFeed } from "./live.js";
import { element } from "./page_elements.js";
import { LiveTable } from "./table.js";
import { Board } from "./ticks.js";

const STATES = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  disconnected: "Disconnected",
};

const board = new Board();
const history = new History();
const table = new LiveTable(board, element("live-table", HTMLTableElement), (stock) => {
  element("live-empty").hidden = true;
  history.suggest(stock);
});
let gaps = 0;
let trouble = "";
let lastGap = "";

function showNotice() {
  const text = trouble || lastGap;
  element("live-notice").hidden = !text;
  setText(element("live-notice"), text);
}

/** @param {keyof typeof STATES} name */
function showState(name) {
  element("state").dataset.state = name;
  setText(element("state"), STATES[name]);
  element("reconnect").hidden = name !== "disconnected";
}

function showFacts() {
  if (board.newest) {
    const ms = serverNow() - board.newest[0];
    setText(element("last-tick"), isStale(ms) ? `stale, ${ageText(ms)}` : ageText(ms));
    element("last-tick").classList.toggle("stale", isStale(ms));
  }
  setText(element("conflated"), countText(board.skipped));
  table.showAges();
}

const feed = new LiveFeed(board, {
  changed: () => table.changed(),
  state: showState,
  missed(exchanges) {
    gaps += 1;
    setText(element("gaps"), countText(gaps));
    const when = clockTime(new Date());
    lastGap = `Updates on ${exchanges.join(" and ")} were missed at ${when}; the prices were loaded again.`;
    showNotice();
  },
  snapshot(problem) {
    trouble = problem ? `The last stored prices can't be loaded yet: ${problem}` : "";
    showNotice();
  },
});

/** @param {() => unknown} step */
async function go(step) {
  try {
    await step();
  } catch (error) {
    showState("disconnected");
    trouble = `Live prices can't be shown: ${error instanceof Error ? error.message : error}`;
    showNotice();
  }
}

element("reconnect").addEventListener("click", () => go(() => feed.connect()));
history.start();
go(() => feed.start());
setInterval(showFacts, 1000);
