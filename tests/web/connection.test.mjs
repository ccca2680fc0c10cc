// What the page says of its connection, event by event: run by `node --test`, and by tests/unit/test_web.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { lastTick, next, opened, view } from "../../web/connection.js";
import { clockTime } from "../../web/format.js";

/** @import { Event, Gap } from "../../web/connection.js" */

const START = Date.UTC(2026, 10, 24, 20, 0, 0);
const GAP = { exchanges: ["NASDAQ", "NYSE"], from: START + 3000, to: START + 9000 };

/** @param {number} seconds */
const at = (seconds) => START + 1000 * seconds;
/** @param {number} seconds */
const clock = (seconds) => clockTime(new Date(at(seconds)));
/** @param {Event[]} events */
const after = (...events) => events.reduce(next, opened(START));
/**
 * @param {number} seconds
 * @param {import("../../web/connection.js").Feed} state
 * @returns {Event}
 */
const feed = (seconds, state) => ({ type: "feed", at: at(seconds), feed: state });
/**
 * @param {number} seconds
 * @param {Gap} gap
 * @returns {Event}
 */
const gapped = (seconds, gap = GAP) => ({ type: "gap", at: at(seconds), gap });
/** @param {string} text */
const plain = (text) => text.replaceAll("\u00a0", " ");

test("connecting is said, and for how long once it takes long", () => {
  const connection = opened(START);
  assert.deepEqual(view(connection, at(1), null), {
    name: "connecting",
    label: "Connecting…",
    detail: "",
    notice: "",
    spoken: ["Connecting."],
  });
  assert.equal(plain(view(connection, at(5), null).detail), `for 5 s, since ${clock(0)}`);
});

test("live is live while ticks come, and stale after ten seconds without", () => {
  const connection = after(feed(1, "live"));
  assert.equal(view(connection, at(20), at(10)).name, "live");
  const stale = view(connection, at(22), at(10));
  assert.deepEqual([stale.name, stale.label, plain(stale.detail)], ["stale", "Stale", "no tick for 12 s"]);
  assert.equal(view(connection, at(10), null).name, "live");
  assert.equal(view(connection, at(12), null).name, "stale"); // not one tick since it is live
});

test("one tick from the future doesn't keep a silent feed from being stale, nor makes a lively one so", () => {
  const connection = after(feed(1, "live"));
  const name = (/** @type {number} */ newest, /** @type {number} */ since) =>
    view(connection, at(30), lastTick(at(newest), at(30), 1000 * since)).name;
  assert.deepEqual([name(3600, 14), name(3600, 1), name(15, 1)], ["stale", "live", "stale"]);
  assert.equal(lastTick(null, at(30), 5), null);
});

test("a connection that is lost isn't stale, but lost, and says since when", () => {
  const connection = after(feed(1, "live"), feed(5, "reconnecting"), feed(6, "reconnecting"));
  const shown = view(connection, at(30), at(4));
  assert.deepEqual([shown.name, plain(shown.detail)], ["reconnecting", `for 25 s, since ${clock(5)}`]);
  assert.equal(view(after(feed(5, "disconnected")), at(6), null).label, "Disconnected");
});

test("a recovery says that nothing was missed, for half a minute", () => {
  const back = after(feed(1, "live"), feed(5, "reconnecting"), feed(9, "live"), {
    type: "recovered",
    at: at(9),
    since: at(5),
  });
  const notice = `Recovered at ${clock(9)} after 4 s: nothing was missed.`;
  assert.equal(plain(view(back, at(38), at(37)).notice), notice);
  assert.equal(view(back, at(40), at(39)).notice, "");
});

test("a gap says what was missed from when to when, and whether the prices were loaded again", () => {
  const found = after(feed(1, "live"), gapped(9));
  const missed = `Updates on NASDAQ and NYSE were missed, ${clock(3)} to ${clock(9)};`;
  assert.equal(view(found, at(10), at(10)).notice, `${missed} the prices are being loaded again.`);
  const loaded = next(found, { type: "snapshot", at: at(10), problem: null });
  assert.equal(view(loaded, at(300), at(300)).notice, `${missed} the prices were loaded again.`);
  assert.equal(view(loaded, at(620), at(620)).notice, "");
});

test("of a gap and a recovery the last is told, and an old gap doesn't come back", () => {
  /** @type {Event} */
  const recovery = { type: "recovered", at: at(20), since: at(15) };
  const recovered = after(feed(1, "live"), gapped(9), recovery);
  assert.match(view(recovered, at(21), at(21)).notice, /^Recovered/);
  assert.equal(view(recovered, at(60), at(60)).notice, "");
  assert.match(view(next(recovered, gapped(25)), at(26), at(26)).notice, /were missed/);
});

test("the last ten gaps are kept, newest first, and all are counted", () => {
  const gaps = Array.from({ length: 12 }, (_, n) => gapped(n, { ...GAP, from: at(n) }));
  const connection = after(...gaps);
  assert.equal(connection.gapCount, 12);
  assert.deepEqual(
    connection.gaps.map(({ from }) => from),
    Array.from({ length: 10 }, (_, n) => at(11 - n)),
  );
});

test("a backend that is away is said with its own words and since when, until it answers", () => {
  /** @type {(seconds: number, problem: string | null) => Event} */
  const backend = (seconds, problem) => ({ type: "backend", at: at(seconds), problem });
  const away = after(feed(1, "live"), backend(5, "No."), backend(10, "Still no."));
  const shown = view(away, at(11), at(11));
  assert.equal(shown.name, "live");
  assert.match(shown.notice, new RegExp(`^The backend is away since ${clock(5)}: Still no\\. Live prices`));
  assert.equal(view(next(away, backend(12, null)), at(12), at(12)).notice, "");
});

test("stored prices that can't be loaded are said, and why", () => {
  const connection = after({ type: "snapshot", at: at(1), problem: "Too slow." });
  assert.match(
    view(connection, at(2), null).notice,
    /^The last stored prices can't be loaded yet: Too slow\.$/,
  );
});

test("a feed that can't be had at all is said", () => {
  const shown = view(after({ type: "failed", at: at(1), problem: "no library" }), at(2), null);
  assert.deepEqual([shown.name, shown.notice], ["disconnected", "Live prices can't be shown: no library"]);
});

test("conflated and refused ticks are told for ten seconds, and what is skipped meanwhile adds up", () => {
  const skipping = after(
    feed(1, "live"),
    { type: "conflated", at: at(2), skipped: 1000 },
    { type: "conflated", at: at(4), skipped: 234 },
    { type: "refused", at: at(5), why: "a tick of X whose price is no number" },
  );
  const shown = (/** @type {number} */ seconds) => view(skipping, at(seconds), at(seconds)).notice;
  assert.equal(shown(5), "Catching up: 1,234 older ticks were left out; history has them.");
  assert.equal(shown(14.5), "The feed sent what can't be used: a tick of X whose price is no number.");
  assert.equal(shown(15), "");
});

test("what is spoken doesn't change as time goes by", () => {
  const lost = after(feed(1, "live"), gapped(2), feed(5, "reconnecting"));
  assert.deepEqual(view(lost, at(6), at(4)).spoken, view(lost, at(66), at(4)).spoken);
  const live = after(feed(1, "live"));
  assert.deepEqual(view(live, at(22), at(2)).spoken, view(live, at(33), at(2)).spoken);
});
