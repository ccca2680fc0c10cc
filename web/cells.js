// Table cells: text is set as text, never parsed, and only where it differs.

import { fraction } from "./format.js";

/**
 * The text of an element without others in it. Its text node is kept: a new one for each tick is work for everybody.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  const only = node.firstChild;
  if (only instanceof Text) {
    if (only.data !== text) only.data = text;
  } else if (text) {
    node.textContent = text;
  }
}

/** @param {string} name */
export function span(name) {
  const node = document.createElement("span");
  node.className = name;
  return node;
}

/** Two spans, so that the numbers of a column stand point below point. */
export const digitSpans = () => [span("whole"), span("fraction")];

/**
 * @param {ArrayLike<Node>} spans two, as digitSpans makes them
 * @param {string} digits
 */
export function showDigits(spans, digits) {
  const tail = fraction(digits);
  setText(spans[0], digits.slice(0, digits.length - tail.length));
  setText(spans[1], tail);
}
