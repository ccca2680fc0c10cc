// Ranges, addresses and axes by a clock that is put forward and back.

import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Europe/Berlin"; // in 2026 put forward on 29 March, back on 25 October
const { fileName, fineStep, fittingStep, instant, isQuick, quickRange, widthText } =
  await import("../../web/range.js");
const { folded } = await import("../../web/candles.js");
const { changed, readAsked, readCharted } = await import("../../web/address.js");
const { decimals, labelText, pointTime, weight } = await import("../../web/axis.js");

/** @param {string} time */
const seconds = (time) => Date.parse(time) / 1000;

test("quick ranges end now, days are those of the calendar", () => {
  const now = new Date("2026-10-26T11:00:00Z");
  assert.deepEqual(quickRange("15m", now), { start: new Date("2026-10-26T10:45:00Z"), end: null });
  assert.deepEqual(quickRange("10m", now), { start: new Date("2026-10-26T10:50:00Z"), end: null });
  assert.deepEqual(quickRange("today", now), { start: new Date("2026-10-25T23:00:00Z"), end: null });
  const [start, end] = [new Date("2026-10-24T22:00:00Z"), new Date("2026-10-25T23:00:00Z")];
  assert.deepEqual(quickRange("yesterday", now), { start, end }); // 25 hours
  assert.deepEqual(quickRange("all", now), { start: null, end: null });
  assert.ok(!isQuick("toString"));
});

test("a local time that comes twice begins with the first and ends with the second", () => {
  assert.equal(instant("2026-10-25T02:30", "start").toISOString(), "2026-10-25T00:30:00.000Z");
  assert.equal(instant("2026-10-25T02:30", "end").toISOString(), "2026-10-25T01:30:00.000Z");
  for (const edge of /** @type {const} */ (["start", "end"])) {
    assert.equal(instant("2026-10-25T03:00", edge).toISOString(), "2026-10-25T02:00:00.000Z");
    assert.equal(instant("2026-07-01T12:00:05", edge).toISOString(), "2026-07-01T10:00:05.000Z");
    assert.equal(instant("2026-03-29T02:30", edge).toISOString(), "2026-03-29T01:30:00.000Z"); // there is none
  }
});

test("the finest candles that are few enough", () => {
  assert.deepEqual(fittingStep(1000 * 60_000, 1000), ["1m", 60_000]);
  assert.equal(fittingStep(1000 * 60_000 + 1, 1000)[0], "5m");
  assert.equal(fittingStep(30 * 86_400_000, 1000)[0], "1h");
  assert.equal(fittingStep(1e15, 1000)[0], "1d");
});

test("a download's name is a file's name whatever the stock is called", () => {
  const [start, end] = ["2026-11-25T12:00:00.000000Z", "2026-11-25T13:00:00Z"];
  assert.equal(fileName("TSLA", start, end), "TSLA_2026-11-25T120000Z_2026-11-25T130000Z.csv");
  assert.equal(fileName("../<b>", null, end), "___b__beginning_2026-11-25T130000Z.csv");
  assert.ok(fileName("x".repeat(255), start, end).length < 100);
});

test("the address says what is asked for, and survives what makes no sense", () => {
  const asked = { stock: "<b> & ü", range: "1h", start: null, end: null };
  assert.deepEqual(readAsked(changed("", asked)), asked);
  const times = { stock: "A", range: null, start: "2026-11-25T12:00:00.000Z", end: null };
  assert.deepEqual(readAsked(changed("?stock=B&range=5m&kind=line", times)), times);
  assert.equal(readAsked("?range=5m"), null);
  assert.equal(readAsked("?stock=A&range=constructor")?.range, "5m");
  assert.deepEqual(readCharted("?stock=A&width=5m&kind=line"), { stock: "A", width: "5m", kind: "line" });
  assert.deepEqual(readCharted("?width=toString&kind=x"), { stock: null, width: "1m", kind: "candles" });
});

test("labels stand where the viewer's day begins, also where hours come twice", () => {
  assert.equal(weight(seconds("2026-10-25T23:00:00Z"), seconds("2026-10-25T22:59:00Z")), 50);
  assert.equal(weight(seconds("2026-10-26T00:00:00Z"), seconds("2026-10-25T23:59:00Z")), 30);
  assert.equal(weight(seconds("2026-12-31T23:00:00Z"), seconds("2026-12-31T22:59:00Z")), 70);
  assert.equal(weight(seconds("2026-10-25T01:00:00Z"), seconds("2026-10-25T00:59:00Z")), 30); // 02:00 again
  assert.equal(labelText(seconds("2026-10-25T23:00:00Z"), 2), "26 Oct");
  assert.equal(labelText(seconds("2026-10-25T23:00:00Z"), 3), "00:00");
  assert.equal(pointTime(seconds("2026-10-25T23:00:00Z")), "2026-10-26 00:00");
  assert.equal(pointTime(seconds("2026-10-25T23:00:07Z")), "2026-10-26 00:00:07");
});

test("a price scale has the decimals of its prices, and no more than a double has", () => {
  assert.equal(decimals([700.5, 700.25]), 2);
  assert.equal(decimals([700]), 0);
  assert.equal(decimals([12345678901234.5]), 1);
  assert.equal(decimals([99999999999.9999, 0.000001]), 4);
  assert.equal(decimals([0.000000000000000001]), 18);
  assert.equal(decimals([]), 0);
});

test("points fold into candles, in words too", () => {
  const points = [5, 7, 4, 6].map((price, i) => ({ ms: 1000 + 100 * i, price }));
  assert.deepEqual(folded([...points, { ms: 2500, price: 1 }], 1000), [
    { start: 1000, open: 5, high: 7, low: 4, close: 6, count: 4 },
    { start: 2000, open: 1, high: 1, low: 1, close: 1, count: 1 },
  ]);
  assert.equal(fineStep(25 * 60_000, 300), 5000);
  assert.equal(fineStep(30, 300), 100);
  const widths = [200, 1000, 60_000, 300_000, 3_600_000, 86_400_000].map(widthText);
  assert.deepEqual(widths, ["0.2 seconds", "1 second", "1 minute", "5 minutes", "1 hour", "1 day"]);
});
