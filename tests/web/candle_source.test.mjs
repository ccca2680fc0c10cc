// What a loaded chart asks for once more, of an api that stores late: no network, no page.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { keepWhole, load } from "../../web/candle_source.js";
import { Candles } from "../../web/candles.js";
import { MINUTE } from "../../web/range.js";
import { FLUSH } from "../../web/rhythm.js";

const START = Date.UTC(2026, 10, 25, 12);
const LOADED = START + 20_000; // forty seconds before the minute ends
/** @type {{id: string, price: number}[]} */
let stored = [];
/** @type {object[]} what the api has of the minute once that is over */
let whole = [];
let changes = 0;
let running = new AbortController();
let candles = new Candles(MINUTE);

/** @param {number} seconds after START @param {number} price */
const tick = (seconds, price) => ({ id: `${START + seconds * 1000}-0`, price });

/** @param {string} address */
async function answer(address) {
  const { pathname, searchParams } = new URL(address, "http://there");
  const [start, end] = ["start_time", "end_time"].map((name) => Date.parse(searchParams.get(name) ?? ""));
  const prices = stored.filter(({ id }) => parseInt(id) >= start);
  const ended = start <= START && end > START ? whole : [];
  const answers = {
    "/api/prices": { prices, next_cursor: null },
    "/api/candles": { candles: ended, next_cursor: null },
    "/api/latest": { timestamp: new Date(LOADED).toISOString() },
  };
  return new Response(JSON.stringify(answers[/** @type {keyof typeof answers} */ (pathname)]));
}

/** @param {() => boolean} done */
async function until(done) {
  for (let step = 0; step < 100 && !done(); step += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(done());
}

beforeEach(async (t) => {
  const { mock } = /** @type {import("node:test").TestContext} */ (t);
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: LOADED });
  Object.assign(globalThis, { fetch: answer });
  [stored, whole, changes, running, candles] = [
    [tick(12, 5)],
    [],
    0,
    new AbortController(),
    new Candles(MINUTE),
  ];
  const end = await load(candles, "TSLA", LOADED, running.signal);
  keepWhole(candles, "TSLA", { at: LOADED, until: end }, () => (changes += 1), running.signal);
});

afterEach(() => running.abort());

test("what the writer held when the chart was loaded comes once it is stored, before the minute ends", async (t) => {
  stored.push(tick(15, 7), tick(19, 6));
  t.mock.timers.tick(FLUSH + 3000);
  await until(() => changes === 1);
  assert.deepEqual(candles.all(), [{ start: START, open: 5, high: 7, low: 5, close: 6, count: 3 }]);
});

test("a minute that has ended is the api's own a little later", async (t) => {
  t.mock.timers.tick(FLUSH + 3000);
  await until(() => changes === 1);
  whole = [{ start_time: new Date(START).toISOString(), open: 5, high: 9, low: 4, close: 8, count: 17 }];
  t.mock.timers.tick(45_000);
  await until(() => changes === 2);
  assert.deepEqual(candles.all(), [{ start: START, open: 5, high: 9, low: 4, close: 8, count: 17 }]);
});
