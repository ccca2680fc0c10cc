// A chart's axes: times in the viewer's zone, whatever its clock does, and prices with their own decimals.

import { CERTAIN, fraction, inputTime, priceText } from "./format.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SAMPLE = 200;

// How much a label weighs that stands where such a part of the time changes, as the library counts.
const DATE = { year: 70, month: 60, day: 50 };
const HOUR = 30;
const CLOCK = [
  { seconds: 12 * 3600, weight: 33 },
  { seconds: 6 * 3600, weight: 32 },
  { seconds: 3 * 3600, weight: 31 },
  { seconds: 3600, weight: HOUR },
  { seconds: 1800, weight: 22 },
  { seconds: 300, weight: 21 },
  { seconds: 60, weight: 20 },
  { seconds: 1, weight: 10 },
];

/** The weight of a label at `seconds`, when `before` is the time to the left of it; both since 1970.
 * @param {number} seconds @param {number} before */
export function weight(seconds, before) {
  const [at, last] = [seconds, before].map((time) => new Date(time * 1000));
  if (at.getFullYear() !== last.getFullYear()) return DATE.year;
  if (at.getMonth() !== last.getMonth()) return DATE.month;
  if (at.getDate() !== last.getDate()) return DATE.day;
  if (at.getTimezoneOffset() !== last.getTimezoneOffset()) return HOUR; // put forward or back
  const [clock, earlier] = [at, last].map((d) => d.getHours() * 3600 + d.getMinutes() * 60 + d.getSeconds());
  const differs = CLOCK.find(
    (part) => Math.floor(clock / part.seconds) !== Math.floor(earlier / part.seconds),
  );
  return differs?.weight ?? 0;
}

/** The library's time scale weighs labels by UTC; this one by the viewer's clock.
 * @param {any} Base what the library's defaultHorzScaleBehavior() returns */
export function localScale(Base) {
  return new (class extends Base {
    /** @param {{originalTime: number, timeWeight: number}[]} points @param {number} start */
    fillWeightsForPoints(points, start) {
      for (let i = Math.max(start, 1); i < points.length; i += 1) {
        points[i].timeWeight = weight(points[i].originalTime, points[i - 1].originalTime);
      }
    }
  })();
}

/** The text of a label; `kind` as the library numbers them: year, month, day, minutes, seconds.
 * @param {number} seconds @param {number} kind */
export function labelText(seconds, kind) {
  const date = new Date(seconds * 1000);
  const [, clock] = inputTime(date).split("T");
  const texts = [
    String(date.getFullYear()),
    MONTHS[date.getMonth()],
    `${date.getDate()} ${MONTHS[date.getMonth()]}`,
    clock.slice(0, 5),
  ];
  return texts[kind] ?? (seconds % 60 === 0 ? texts[3] : clock);
}

/** "2026-11-25 05:30", with seconds where there are any. @param {number} seconds */
export function pointTime(seconds) {
  const text = inputTime(new Date(seconds * 1000)).replace("T", " ");
  return seconds % 60 === 0 ? text.slice(0, -3) : text;
}

/** How many decimals a scale for these prices needs, and a double still has.
 * @param {readonly number[]} prices */
export function decimals(prices) {
  const sample = prices.slice(-SAMPLE);
  const most = Math.max(0, ...sample.map((price) => fraction(priceText(price)).length - 1));
  const whole = Math.max(0, ...sample.map((price) => (price >= 1 ? String(Math.trunc(price)).length : 0)));
  return Math.max(0, Math.min(most, whole > 0 ? CERTAIN - whole : most));
}
