// A group of buttons of which one is chosen, and says so.

import { element } from "./page_elements.js";

/**
 * @param {string} id the group's
 * @param {(value: string) => void} chosen
 */
export function onChoice(id, chosen) {
  element(id).addEventListener("click", ({ target }) => {
    if (target instanceof HTMLButtonElement) chosen(target.value);
  });
}

/**
 * @param {string} id the group's
 * @param {string | null} value null: none is chosen
 */
export function press(id, value) {
  for (const button of element(id).querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
}
