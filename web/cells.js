// Table cells: text is set as text, never parsed, and only where it differs.

import { fraction } from "./format.js";

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function span(name) {
  const node = document.createElement("span");
  node.className = name;
  return node;
}

/** Two spans, so that the numbers of a column stand point below point. */
export const digitSpans = () => [span("whole"), span("fraction")];

export function showDigits([whole, decimals], digits) {
  const tail = fraction(digits);
  setText(whole, digits.slice(0, digits.length - tail.length));
  setText(decimals, tail);
}
