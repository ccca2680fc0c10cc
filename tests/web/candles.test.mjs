// Candles out of a snapshot and a feed that overlap: no tick twice, none missing, whatever comes first.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Candles, WIDTHS, down } from "../../web/candles.js";
import { MINUTE } from "../../web/range.js";

/** @import { Candle, Row } from "../../web/candles.js" */
/** @typedef {{id: string, ms: number, price: number}} Tick */

const START = Date.UTC(2026, 10, 25, 12, 58);

/**
 * The same numbers for the same seed (mulberry32).
 * @param {number} seed
 */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * In the order of their ids; several in a millisecond, and minutes without any.
 * @param {() => number} dice
 * @param {number} count
 * @returns {Tick[]}
 */
function market(dice, count) {
  let [ms, seq] = [START, 0];
  return Array.from({ length: count }, () => {
    const step = dice() < 0.3 ? 0 : Math.floor(dice() * (dice() < 0.02 ? 150_000 : 1500));
    [ms, seq] = step ? [ms + step, Math.floor(dice() * 1024)] : [ms, seq + 1];
    return { id: `${ms}-${seq}`, ms, price: Math.round(dice() * 100_000) / 100 };
  });
}

/**
 * As the api has them.
 * @param {Tick[]} ticks in order
 * @param {number} width
 * @returns {Row[]}
 */
function rows(ticks, width) {
  const starts = [...new Set(ticks.map(({ ms }) => down(ms, width)))];
  return starts.map((start) => {
    const prices = ticks.filter(({ ms }) => down(ms, width) === start).map(({ price }) => price);
    return {
      start_time: new Date(start).toISOString(),
      open: prices[0],
      high: Math.max(...prices),
      low: Math.min(...prices),
      close: prices[prices.length - 1],
      count: prices.length,
    };
  });
}

/**
 * @param {Tick[]} ticks
 * @param {number} width
 * @returns {Candle[]}
 */
const expected = (ticks, width) =>
  rows(ticks, width).map(({ start_time: time, ...rest }) => ({ start: Date.parse(time), ...rest }));

/**
 * What the api had stored of the ticks when the page asked, put in as the page does.
 * @param {Candles} candles
 * @param {Tick[]} stored
 * @param {number} over the end of the last whole minute
 */
function begin(candles, stored, over) {
  const from = down(over - 5 * MINUTE, candles.width);
  /**
   * @param {number} start
   * @param {number} end
   */
  const between = (start, end) => stored.filter(({ ms }) => start <= ms && ms < end);
  candles.begin(rows(between(0, from), candles.width), from);
  candles.settle(rows(between(from, over), MINUTE));
  for (const tick of between(over, Infinity)) candles.addTick(tick);
}

for (const [name, width] of Object.entries(WIDTHS)) {
  test(`any split between snapshot and feed gives the candles of ${name} once and whole`, () => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const dice = random(seed);
      const ticks = market(dice, 300);
      // The feed has all from somewhere in the last whole minute's stored part on, and what is stored ends later.
      const stored = ticks.slice(0, Math.floor(dice() * ticks.length) + 1);
      const last = stored[stored.length - 1].ms;
      const over = down(last, MINUTE);
      const tail = stored.findIndex(({ ms }) => ms >= over);
      const feed = ticks.slice(Math.floor(tail + dice() * (stored.length - tail)));
      const early = Math.floor(dice() * feed.length); // those that come before the api has answered
      const candles = new Candles(width);
      for (const tick of feed.slice(0, early)) candles.addTick(tick);
      begin(candles, stored, over);
      for (const tick of feed.slice(dice() < 0.5 ? early : 0)) candles.addTick(tick); // redelivered, perhaps
      assert.deepEqual(candles.all(), expected(ticks, width), `seed ${seed}`);
    }
  });
}

test("ticks in any order, and twice, make the same candle", () => {
  const dice = random(7);
  const ticks = market(dice, 200);
  const mixed = [...ticks, ...ticks].map((tick) => ({ tick, at: dice() })).sort((a, b) => a.at - b.at);
  const candles = new Candles(WIDTHS["5m"]);
  for (const { tick } of mixed) candles.addTick(tick);
  assert.deepEqual(candles.all(), expected(ticks, WIDTHS["5m"]));
});

test("a minute that is over gets what the feed left out, and what comes again changes nothing", () => {
  const ticks = market(random(3), 300);
  for (const width of Object.values(WIDTHS)) {
    const candles = new Candles(width);
    for (const tick of ticks.filter((_, i) => i % 3 === 0)) candles.addTick(tick); // conflated
    assert.ok(candles.settle(rows(ticks, MINUTE)));
    assert.deepEqual(candles.all(), expected(ticks, width));
    assert.ok(!candles.settle(rows(ticks, MINUTE)));
    assert.deepEqual(
      ticks.map((tick) => candles.addTick(tick)),
      ticks.map(() => null),
    );
  }
});

test("an api that hasn't stored all of a minute yet takes nothing away, and is believed later", () => {
  const ticks = market(random(5), 200);
  const candles = new Candles(MINUTE);
  for (const tick of ticks) candles.addTick(tick);
  candles.settle(rows(ticks.slice(0, 100), MINUTE));
  assert.deepEqual(candles.all(), expected(ticks, MINUTE));
  candles.settle(rows(ticks, MINUTE));
  assert.deepEqual(candles.all(), expected(ticks, MINUTE));
});

test("the newest ten minutes are open, whether the api answers or not and whatever comes from the future", () => {
  const candles = new Candles(MINUTE);
  const add = (/** @type {number} */ minutes, /** @type {number} */ seq) =>
    candles.addTick({ id: `${down(START, MINUTE) + minutes * MINUTE}-${seq}`, price: 5 }) !== null;
  for (let minute = 0; minute < 12; minute += 1) assert.ok(add(minute, 0));
  assert.deepEqual([add(0, 1), add(1, 1), add(2, 1), add(11, 1)], [false, false, true, true]);
  assert.ok(add(600, 0));
  assert.ok(add(11, 2));
});

test("a tick says which candle it changed; one that can't be used, none", () => {
  const candles = new Candles(WIDTHS["1h"]);
  assert.equal(candles.addTick({ id: `${START}-0`, price: 5 }), Date.UTC(2026, 10, 25, 12));
  assert.equal(candles.addTick({ id: [START, 0], price: 5 }), null);
  for (const [id, price] of /** @type {[any, any][]} */ ([
    ["nonsense", 5],
    [undefined, 5],
    [`${START}-1`, NaN],
    [`${START}-1`, "5"],
  ])) {
    assert.equal(candles.addTick({ id, price }), null);
  }
  assert.deepEqual(candles.all(), [
    { start: Date.UTC(2026, 10, 25, 12), open: 5, high: 5, low: 5, close: 5, count: 1 },
  ]);
});

test("a late tick of a time that the api's candles cover isn't counted again", () => {
  const candles = new Candles(MINUTE);
  candles.begin(rows(market(random(2), 3), MINUTE), START + 60 * MINUTE);
  const before = candles.all();
  assert.equal(candles.addTick({ id: `${START + 5}-0`, price: 1 }), null);
  assert.deepEqual(candles.all(), before);
});
