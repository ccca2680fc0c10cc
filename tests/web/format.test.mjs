// Numbers and times as the page shows them, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

process.env.TZ = "Australia/Darwin"; // UTC+09:30 all year: an offset that no shortcut survives
const { ageText, change, countText, inputTime, isStale, localTime, priceText, zoneText } =
  await import("../../web/format.js");

test("a price keeps its digits, fifteen of them, and says when there are more", () => {
  /** @type {[number, string][]} */
  const cases = [
    [723.02, "723.02"],
    [700, "700"],
    [0.1 + 0.2, "≈0.3"],
    [1234567.89, "1234567.89"],
    [123456789012345678.12, "≈123456789012346000"],
    [123456789012345000, "123456789012345000"],
    [9007199254740992, "≈9007199254740990"],
    [0.000000000000000001, "0.000000000000000001"],
    [99999999999.9999, "99999999999.9999"],
    [1e300, "1e+300"],
    [-1.5e-300, "-1.5e-300"],
    [1 / 3, "≈0.333333333333333"],
    [700.7442898221115, "≈700.744289822111"], // a little below the half
  ];
  for (const [price, text] of cases) assert.equal(priceText(price), text);
});

test("a change has the decimals of the two prices and says which way", () => {
  assert.deepEqual(change(700.1, 699.79), { direction: "up", text: "+0.31" });
  assert.deepEqual(change(699.79, 700.1), { direction: "down", text: "−0.31" });
  assert.deepEqual(change(700, 700), { direction: "same", text: "0" });
  assert.deepEqual(change(700.5, 700.5), { direction: "same", text: "0.0" });
  const [large, larger] = [123456789012345678.12, 123456789012345699.12];
  assert.deepEqual(change(larger, large), { direction: "up", text: "≈+16" });
  assert.deepEqual(change(large, large), { direction: "same", text: "≈0" });
  assert.deepEqual(change(1e300, 1e-300), { direction: "up", text: "+1e+300" });
  assert.deepEqual(change(700, null), { direction: "none", text: "" });
});

test("an age is short, and stale after ten seconds", () => {
  /** @type {[number, string][]} */
  const ages = [
    [-5, "now"],
    [999, "now"],
    [1000, "1 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [3_600_000, "1 h"],
    [200_000_000, "2 d"],
  ];
  for (const [ms, text] of ages) assert.equal(ageText(ms).replace("\u00a0", " "), text);
  assert.ok(!isStale(10_000));
  assert.ok(isStale(10_001));
});

test("the api's time is shown in the viewer's zone with all its microseconds", () => {
  assert.equal(localTime("2026-11-24T20:00:00.123456Z"), "2026-11-25 05:30:00.123456");
  assert.equal(localTime("2026-11-24T20:00:00.1Z"), "2026-11-25 05:30:00.100000");
  assert.equal(localTime("2026-11-24T20:00:00Z"), "2026-11-25 05:30:00.000000");
  assert.equal(localTime("2026-11-24T20:00:00.999999Z"), "2026-11-25 05:30:00.999999");
});

test("an input's value is local time and says the same instant", () => {
  const date = new Date("2026-11-24T20:00:07Z");
  assert.equal(inputTime(date), "2026-11-25T05:30:07");
  assert.equal(new Date(inputTime(date)).toISOString(), "2026-11-24T20:00:07.000Z");
});

test("the zone is named", () => {
  assert.equal(zoneText(new Date("2026-11-24T20:00:00Z")), "Australia/Darwin, UTC+09:30 now");
});

test("counts are grouped", () => {
  assert.equal(countText(1234567), "1,234,567");
});
