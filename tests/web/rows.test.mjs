// What a row of the live table is made of, and the strip on top: trails, rates, lags; no browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { percentText, rateText, spanText } from "../../web/format.js";
import { Quote } from "../../web/quote.js";
import { linePath, Trail } from "../../web/sparkline.js";
import { StatusStrip, cells, waitMs } from "../../web/status.js";

process.env.TZ = "Australia/Darwin"; // UTC+09:30
const NOW = Date.UTC(2026, 10, 24, 20, 0, 10);
const WELL = {
  redis: "ok",
  postgres: "ok",
  groups: [
    { name: "writer", lag_entries: 1200, lag_seconds: 4.26 },
    { name: "forwarder", lag_entries: 0, lag_seconds: 0 },
  ],
  last_row: "2026-11-24T20:00:07.500000Z",
  bridge_gaps: { count: 0 },
  overrun: { forwarder: 0, writer: 0 },
  dead_letters: { bridge: 0, writer: 0 },
};
/** @param {import("../../web/status.js").Status} status */
const shown = (status) =>
  Object.values(cells(status, NOW)).map(({ text, warn }) => text.replace("\u00a0", " ") + (warn ? "!" : ""));

test("a trail has the last price of each second, and of sixty at most", () => {
  const trail = new Trail();
  for (let second = 0; second < 100; second += 1) {
    trail.add(second * 1000, -1);
    trail.add(second * 1000 + 999, second);
  }
  assert.equal(trail.length, 60);
  assert.deepEqual([trail.back(0), trail.back(1), trail.back(59)], [99, 98, 40]);
});

test("a trail is drawn from left to right, up is up, and one point is no line", () => {
  const trail = new Trail();
  trail.add(0, 5);
  assert.equal(linePath(trail), "");
  trail.add(1000, 7);
  assert.equal(linePath(trail), "M58.0 15.0L59.0 1.0");
  const still = new Trail();
  for (const ms of [0, 1000]) still.add(ms, 3);
  assert.equal(linePath(still), "M58.0 8.0L59.0 8.0");
});

test("a rate comes to what it is, and dies away", () => {
  const quote = new Quote("NYSE", "TSLA", [1, 0], 5);
  for (let second = 0; second < 60; second += 1) {
    for (let tick = 0; tick < 8; tick += 1) quote.count();
    quote.measure(1000);
  }
  assert.equal(rateText(quote.rate), "8.0");
  quote.measure(60_000); // a page that was asleep
  assert.equal(rateText(quote.rate), "0");
  assert.equal(rateText(12_345.6), "12,346");
});

test("a percentage has a sign and no false digits", () => {
  const cases = /** @type {[number, number, string][]} */ ([
    [101, 100, "+1.00%"],
    [99.5, 100, "−0.50%"],
    [100, 100, "0.00%"],
    [450, 100, "+350%"],
    [-50, -100, "+50.00%"],
    [5, 0, ""],
    [1e300, 1e-300, ""],
    [1e9, 1, "+1.0e+11%"],
  ]);
  for (const [price, reference, text] of cases) assert.equal(percentText(price, reference), text);
});

test("a span says the day where it isn't one", () => {
  const noon = Date.UTC(2026, 10, 24, 2, 30);
  assert.equal(spanText(noon, noon + 61_000), "12:00:00 to 12:01:01");
  assert.equal(spanText(noon, noon + 86_400_000), "2026-11-24 12:00:00 to 2026-11-25 12:00:00");
});

test("the strip shows the lag of each stage", () => {
  assert.deepEqual(shown(WELL), ["ok", "0 · 0.0 s", "1,200 · 4.3 s", "2 s ago", "0", "0", "0"]);
});

test("the strip warns of what is away, behind, missed, removed or buried", () => {
  const groups = [{ name: "writer", lag_entries: null, lag_seconds: 120 }];
  const poor = { ...WELL, redis: "refused", groups, last_row: "2026-11-24T19:00:00Z" };
  const lost = { forwarder: 1200, writer: 1234 };
  const letters = { bridge: 1, writer: 2 };
  assert.deepEqual(shown({ ...poor, bridge_gaps: { count: 2 }, overrun: lost, dead_letters: letters }), [
    "Redis away!",
    "unknown!",
    "? · 2 min!",
    "1 h ago!",
    "2!",
    "1,234!",
    "3!",
  ]);
  const none = {
    ...WELL,
    groups: null,
    last_row: null,
    bridge_gaps: null,
    overrun: null,
    dead_letters: null,
  };
  assert.deepEqual(shown(none), ["ok", "unknown!", "unknown!", "none!", ...Array(3).fill("unknown!")]);
});

test("questions come every five seconds, and less often while nobody answers", () => {
  assert.deepEqual([0, 1, 2, 3, 9].map(waitMs), [5000, 5000, 10_000, 10_000, 10_000]);
});

/** @type {StatusStrip} */
let strip;
let told = 0; // how often the strip said that the writer has caught up
let hidden = false;

/**
 * A strip, and how late the writer is said to be.
 * @param {import("node:test").TestContext} t
 * @param {() => number} lag
 */
function openStrip(t, lag) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW });
  const groups = () => [{ name: "writer", lag_entries: 1, lag_seconds: lag() }];
  Object.assign(globalThis, {
    document: Object.defineProperty(new EventTarget(), "hidden", { get: () => hidden }),
    fetch: async () => new Response(JSON.stringify({ ...WELL, groups: groups() })),
  });
  const place = { querySelectorAll: () => [], classList: { add() {}, remove() {} } };
  [told, hidden] = [0, false];
  strip = new StatusStrip(
    /** @type {any} */ (place),
    () => {},
    () => (told += 1),
  );
}

test("a writer that was minutes late and has caught up is told once; one that flickers isn't", async (t) => {
  let lag = 0;
  openStrip(t, () => lag);
  const seen = [];
  for (lag of [5, 30, 5, 300, 100, 11, 9, 5]) {
    await strip.ask();
    seen.push(told);
  }
  assert.deepEqual(seen, [0, 0, 0, 0, 0, 0, 1, 1]);
});

test("so is one that may have been late while the page was hidden, once it is seen", async (t) => {
  openStrip(t, () => 5);
  const seen = [];
  for (const seconds of [5, 60, 230, 240, 5]) {
    hidden = true;
    t.mock.timers.tick(seconds * 1000);
    await strip.ask();
    hidden = false;
    await strip.ask();
    seen.push(told);
  }
  assert.deepEqual(seen, [0, 0, 0, 1, 1]);
});
