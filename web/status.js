// The strip on top: how far each stage is, as /api/status says it, asked every five seconds while somebody looks.

import { getJson, serverNow, wordsOf } from "./api.js";
import { setText } from "./cells.js";
import { ageText, countText } from "./format.js";
import { FLUSH } from "./rhythm.js";

/**
 * @typedef {object} Status what of the api's answer is shown
 * @property {string} redis
 * @property {string} postgres
 * @property {{name: string, lag_entries: number | null, lag_seconds: number}[] | null} groups
 * @property {string | null} last_row
 * @property {{count: number} | null} bridge_gaps
 * @property {Record<string, number> | null} overrun
 * @property {Record<string, number> | null} dead_letters
 */
/** @typedef {{text: string, warn: boolean}} Cell */

const EVERY_MS = 5000;
const AT_MOST_MS = 10_000;
const BEHIND_SECONDS = (2 * FLUSH) / 1000;
const LATE_SECONDS = 240; // a chart asks again for the last five minutes: a later writer may leave a hole in it
const NO_ROW_MS = 30_000;
const UNKNOWN = "unknown";

/**
 * What the strip shows, by the name of its places.
 * @param {Status} status
 * @param {number} now the server's time
 * @returns {Record<string, Cell>}
 */
export function cells(status, now) {
  const {
    redis,
    postgres,
    groups,
    last_row: lastRow,
    bridge_gaps: gaps,
    overrun,
    dead_letters: letters,
  } = status;
  const away = [redis === "ok" ? "" : "Redis away", postgres === "ok" ? "" : "PostgreSQL away"];
  const trouble = away.filter(Boolean).join(", ");
  const age = lastRow ? now - Date.parse(lastRow) : null;
  const buried = letters && Object.values(letters).reduce((sum, count) => sum + count, 0);
  return {
    backend: { text: trouble || "ok", warn: Boolean(trouble) },
    forwarder: lag(groups, "forwarder"),
    writer: lag(groups, "writer"),
    "last-row": { text: rowText(age), warn: age === null || age > NO_ROW_MS },
    "bridge-gaps": counted(gaps?.count ?? null),
    overrun: counted(overrun && Math.max(0, ...Object.values(overrun))), // a sum would have the same entries twice
    "dead-letters": counted(buried),
  };
}

/** @param {number | null} age */
function rowText(age) {
  if (age === null) return "none";
  return age < 1000 ? "now" : `${ageText(age)} ago`;
}

/**
 * @param {Status["groups"]} groups
 * @param {string} name
 * @returns {Cell}
 */
function lag(groups, name) {
  const group = groups?.find((each) => each.name === name);
  if (!group) return { text: UNKNOWN, warn: true };
  const { lag_entries: entries, lag_seconds: seconds } = group;
  const time = seconds < 100 ? `${seconds.toFixed(1)}\u00a0s` : ageText(seconds * 1000);
  return {
    text: `${entries === null ? "?" : countText(entries)} · ${time}`,
    warn: seconds > BEHIND_SECONDS,
  };
}

/**
 * @param {number | null} count
 * @returns {Cell}
 */
const counted = (count) => ({
  text: count === null ? UNKNOWN : countText(count),
  warn: count !== 0,
});

/**
 * How long to wait before the next question.
 * @param {number} failures in a row
 */
export const waitMs = (failures) => Math.min(EVERY_MS * 2 ** Math.max(0, failures - 1), AT_MOST_MS);

export class StatusStrip {
  #place;
  #told;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asking = false;
  #late = false;
  #looked = { seconds: 0, at: Date.now() }; // at the writer, and how late it was
  #caughtUp;

  /**
   * @param {HTMLElement} place whose dd elements have data-status
   * @param {(problem: string | null) => void} told after each answer, or what came instead
   * @param {() => void} caughtUp called when the history has what it was far behind with
   */
  constructor(place, told, caughtUp) {
    this.#place = place;
    this.#told = told;
    this.#caughtUp = caughtUp;
  }

  start() {
    document.addEventListener("visibilitychange", () => this.ask());
    this.ask();
  }

  /** Now, and every five seconds from then on. */
  async ask() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#asking) return;
    this.#asking = true;
    const problem = await this.#update();
    this.#asking = false;
    this.#failures = problem === null ? 0 : this.#failures + 1;
    this.#told(problem);
    this.#timer = setTimeout(() => this.ask(), waitMs(this.#failures));
  }

  /** @returns {Promise<string | null>} what went wrong */
  async #update() {
    try {
      const status = await getJson("/api/status");
      this.#show(cells(status, serverNow()));
      this.#lookAtWriter(status);
      return null;
    } catch (error) {
      this.#show({ backend: { text: "away", warn: true } });
      this.#place.classList.add("outdated");
      return wordsOf(error);
    }
  }

  /** @param {Status} status */
  #lookAtWriter({ groups }) {
    const seconds = groups?.find(({ name }) => name === "writer")?.lag_seconds;
    if (seconds === undefined) return;
    const now = Date.now();
    // While nobody looked it may have been later, second by second, and have caught up.
    const most = this.#looked.seconds + (now - this.#looked.at) / 1000;
    this.#looked = { seconds, at: now };
    if (Math.max(seconds, most) > LATE_SECONDS) this.#late = true;
    if (!this.#late || seconds > BEHIND_SECONDS) return;
    this.#late = false;
    this.#caughtUp();
  }

  /** @param {Record<string, Cell>} shown */
  #show(shown) {
    this.#place.classList.remove("outdated");
    for (const node of this.#place.querySelectorAll("[data-status]")) {
      const cell = node instanceof HTMLElement ? shown[node.dataset.status ?? ""] : null;
      if (!cell) continue;
      setText(node, cell.text);
      node.classList.toggle("warn", cell.warn);
    }
  }
}

/**
 * Shows the link if there is a Grafana behind it. nginx says so without an error, which a console would show.
 * @param {HTMLElement} link
 */
export async function showGrafana(link) {
  try {
    const answer = await fetch("/grafana-there", { cache: "no-store" });
    link.hidden = answer.status !== 200;
  } catch {
    link.hidden = true; // no answer, no link
  }
}
