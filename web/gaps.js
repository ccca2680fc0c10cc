// The list of what was missed while the page was open, and the way from there to the history.

import { SAME_CLOCK_MS } from "./api.js";
import { ageText, spanText } from "./format.js";

/** @import { Gap } from "./connection.js" */

/**
 * @param {{summary: HTMLElement, list: HTMLElement}} place
 * @param {Gap[]} gaps newest first
 */
export function showGaps({ summary, list }, gaps) {
  summary.textContent = gaps.length
    ? "Missed while this page was open"
    : "Missed while this page was open: nothing";
  list.replaceChildren(...gaps.map(gapItem));
}

/** @param {Gap} gap */
function gapItem({ exchanges, from, to }) {
  const item = document.createElement("li");
  const text = document.createElement("span");
  const when = spanText(from, to);
  text.textContent = `${when} (${ageText(Math.max(to - from, 1000))}), ${exchanges.join(" and ")}`;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small";
  button.textContent = "Put into the history form";
  button.setAttribute("aria-label", `Put ${when} into the history form`);
  button.addEventListener("click", () => {
    // Whole seconds, as the form has them, and none too few: its end isn't included, and our clock may be behind.
    const detail = { start: whole(from, Math.floor), end: whole(to + SAME_CLOCK_MS, Math.ceil) };
    document.dispatchEvent(new CustomEvent("rangechosen", { detail }));
  });
  item.append(text, button);
  return item;
}

/**
 * @param {number} ms
 * @param {(seconds: number) => number} round
 */
const whole = (ms, round) => new Date(round(ms / 1000) * 1000);
