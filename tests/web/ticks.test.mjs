// The live table's rules without a browser: run by `node --test`, and by tests/unit/test_web.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, isNewer, parseId } from "../../web/ticks.js";

const COLUMNS = ["id", "stock_name", "price", "received_us"];

/**
 * @param {any[][]} ticks as [id, stock, price]
 * @param {number} skipped
 */
const publication = (ticks, skipped = 0) => ({
  columns: COLUMNS,
  ticks: ticks.map((tick) => [...tick, 1763000000000000]),
  skipped,
});
/** @param {Board} board */
const shown = (board) =>
  [...board.takeChanged()].map(({ exchange, stock, price, previous }) => [exchange, stock, price, previous]);

test("ids are compared as two numbers, not as text", () => {
  /** @param {string} text */
  const id = (text) => parseId(text) ?? assert.fail(text);
  /**
   * @param {string} one
   * @param {string} other
   */
  const newer = (one, other) => isNewer(id(one), id(other));
  assert.ok(newer("1763000000000-10", "1763000000000-9"));
  assert.ok(newer("10000000000000-0", "9999999999999-5"));
  assert.ok(newer("1763000000001-0", "1763000000000-1023999"));
  assert.ok(!newer("1763000000000-9", "1763000000000-10"));
  assert.ok(!newer("1763000000000-9", "1763000000000-9"));
});

test("what is no id is no id", () => {
  for (const text of ["", "1", "1-", "-1", "1-2-3", "a-1", "1e3-0", "1763000000000-0\n", undefined, null]) {
    assert.equal(parseId(text), null);
  }
});

test("the newest tick of a publication is shown, with the price before it", () => {
  const board = new Board();
  const ticks = [
    ["5-0", "TSLA", 700],
    ["5-1", "TSLA", 700.5],
    ["5-2", "DIS", 145],
  ];
  board.mergePublication("NYSE", publication(ticks));
  assert.deepEqual(shown(board), [
    ["NYSE", "TSLA", 700.5, 700],
    ["NYSE", "DIS", 145, null],
  ]);
  assert.deepEqual(board.newest, [5, 2]);
});

test("a tick that was seen, or is older, changes nothing", () => {
  const board = new Board();
  board.mergePublication("NYSE", publication([["9-10", "TSLA", 700]]));
  board.takeChanged();
  board.mergePublication(
    "NYSE",
    publication([
      ["9-10", "TSLA", 1],
      ["9-9", "TSLA", 2],
      ["8-99", "TSLA", 3],
    ]),
  );
  assert.deepEqual(shown(board), []);
  board.mergePublication("NYSE", publication([["9-11", "TSLA", 701]]));
  assert.deepEqual(shown(board), [["NYSE", "TSLA", 701, 700]]);
});

test("the same name on two exchanges is two stocks", () => {
  const board = new Board();
  board.mergePublication("NYSE", publication([["9-9", "TSLA", 700]]));
  board.mergePublication("NASDAQ", publication([["1-0", "TSLA", 5]]));
  assert.deepEqual(shown(board), [
    ["NYSE", "TSLA", 700, null],
    ["NASDAQ", "TSLA", 5, null],
  ]);
});

test("a snapshot that is behind the feed doesn't turn a price back", () => {
  const board = new Board();
  board.mergePublication("NYSE", publication([["9-0", "TSLA", 700]]));
  board.takeChanged();
  board.mergeSnapshot({
    stocks: [
      { stock_name: "TSLA", exchange_name: "NYSE", price: 1, timestamp: "", id: "8-0" },
      { stock_name: "DIS", exchange_name: "NYSE", price: 145, timestamp: "", id: "7-0" },
    ],
  });
  assert.deepEqual(shown(board), [["NYSE", "DIS", 145, null]]);
});

test("columns are found by name, in any order, with others between", () => {
  const board = new Board();
  const columns = ["price", "volume", "stock_name", "id"];
  board.mergePublication("NYSE", { columns, ticks: [[700, 9, "TSLA", "1-0"]] });
  assert.deepEqual(shown(board), [["NYSE", "TSLA", 700, null]]);
});

test("rows without an id or a price are left out", () => {
  const board = new Board();
  const ticks = [["x", "TSLA", 700], ["1-0", "TSLA", null], ["1-0", "TSLA", "700"], []];
  board.mergePublication("NYSE", publication(ticks));
  board.mergePublication("NYSE", { ticks: [["1-0", "TSLA", 700]] });
  assert.deepEqual(shown(board), []);
});

test("names of JavaScript's own properties are stocks like any other", () => {
  const board = new Board();
  board.mergePublication(
    "NYSE",
    publication([
      ["1-0", "__proto__", 1],
      ["1-1", "constructor", 2],
    ]),
  );
  assert.deepEqual(shown(board), [
    ["NYSE", "__proto__", 1, null],
    ["NYSE", "constructor", 2, null],
  ]);
});

test("skipped ticks add up", () => {
  const board = new Board();
  board.mergePublication("NYSE", publication([], 3));
  board.mergePublication("NASDAQ", publication([], 4));
  assert.equal(board.skipped, 7);
});
