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
/** @param {Board} board */
const references = (board) => [...board.takeChanged()].map(({ reference }) => reference);

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

test("ticks that can't be used are refused one by one and counted; their neighbours are shown", () => {
  const board = new Board();
  const ticks = [
    ["x", "TSLA", 700],
    [5, "TSLA", 700],
    ["1-0", "TSLA", null],
    ["1-0", "TSLA", "700"],
    ["1-0", "TSLA", Infinity],
    ["1-0", "TSLA"],
    ["1-0", "", 700],
    ["1-0", { toString: () => "TSLA" }, 700],
    [],
    null,
    "1-0",
    7,
    ["1-0", "DIS", 145],
  ];
  board.mergePublication("NYSE", { columns: COLUMNS, ticks });
  assert.deepEqual(shown(board), [["NYSE", "DIS", 145, null]]);
  assert.equal(board.refused, 12);
  assert.equal(board.refusal, "a tick without an id or a stock's name");
});

test("messages of another shape are refused and counted", () => {
  const board = new Board();
  const ticks = [["1-0", "TSLA", 700]];
  const odd = [
    null,
    undefined,
    7,
    "x",
    [],
    {},
    { ticks },
    { columns: COLUMNS },
    { columns: COLUMNS, ticks: "x" },
  ];
  for (const message of odd) board.mergePublication("NYSE", message);
  assert.equal(board.refused, odd.length);
  board.mergePublication("NYSE", { columns: ["id", "price"], ticks });
  assert.equal(board.refused, odd.length + 1);
  assert.deepEqual(shown(board), []);
});

test("a count of skipped ticks that is no count is refused, the ticks beside it are merged", () => {
  for (const skipped of ["3", -1, 0.5, NaN, null, {}]) {
    const board = new Board();
    board.mergePublication("NYSE", { columns: COLUMNS, ticks: [["1-0", "TSLA", 700]], skipped });
    assert.deepEqual([shown(board).length, board.skipped, board.refused], [1, 0, 1]);
  }
});

test("a message may have fields that nobody knows", () => {
  const board = new Board();
  board.mergePublication("NYSE", { ...publication([["1-0", "TSLA", 700]]), colour: "blue" });
  assert.deepEqual([shown(board).length, board.refused], [1, 0]);
});

test("a snapshot without a list is an error, and its odd rows are refused", () => {
  const board = new Board();
  for (const snapshot of [null, {}, { stocks: {} }]) {
    assert.throws(() => board.mergeSnapshot(snapshot), /no list of stocks/);
  }
  board.mergeSnapshot({ stocks: [null, { stock_name: "TSLA", price: 5, id: "1-0" }] });
  assert.deepEqual([shown(board).length, board.refused], [0, 2]);
});

test("who follows a stock gets each of its ticks in order, until he is through", () => {
  const board = new Board();
  /** @type {[number, number, number][]} */
  const seen = [];
  const end = board.follow("TSLA", ({ id, price }) => seen.push([...id, price]));
  const ticks = [
    ["5-0", "TSLA", 1],
    ["5-2048", "TSLA", 2],
    ["5-1024", "TSLA", 3],
    ["6-0", "DIS", 4],
  ];
  board.mergePublication("NYSE", publication(ticks));
  board.mergeSnapshot({ stocks: [{ stock_name: "TSLA", exchange_name: "NASDAQ", price: 7, id: "9-0" }] });
  end();
  board.mergePublication("NYSE", publication([["7-0", "TSLA", 1]]));
  assert.deepEqual(seen, [
    [5, 0, 1],
    [5, 2048, 2],
    [9, 0, 7],
  ]);
});

test("a change is counted from the first price that was seen, or from where it was reset", () => {
  const board = new Board();
  board.mergeSnapshot({ stocks: [{ stock_name: "TSLA", exchange_name: "NYSE", price: 700, id: "1-0" }] });
  board.mergePublication("NYSE", publication([["2-0", "TSLA", 701]]));
  board.mergePublication("NYSE", publication([["3-0", "TSLA", 702]]));
  assert.deepEqual(references(board), [700]);
  board.resetReference();
  assert.deepEqual(references(board), [702]);
});

test("what only the feed has brought isn't stored", () => {
  const board = new Board();
  board.mergePublication("NYSE", publication([["2-0", "TSLA", 701]]));
  assert.ok(!board.isStored("TSLA"));
  board.mergeSnapshot({ stocks: [{ stock_name: "TSLA", exchange_name: "NYSE", price: 700, id: "1-0" }] });
  assert.ok(board.isStored("TSLA"));
});

test("the newest tick is known by exchange", () => {
  const board = new Board();
  board.mergePublication("NYSE", publication([["5-1", "TSLA", 1]]));
  board.mergePublication("NYSE", publication([["5-0", "DIS", 1]]));
  board.mergePublication("NASDAQ", publication([["9-0", "AAPL", 1]]));
  assert.deepEqual(
    [board.newestOf("NYSE"), board.newestOf("NASDAQ"), board.newestOf("LSE")],
    [[5, 1], [9, 0], null],
  );
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
