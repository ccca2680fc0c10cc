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

const DECIMALS = ".00".length; // those that have a place of their own

/**
 * A number as one text, which is read aloud and copied whole. How much of ".00" it lacks is said to the style sheet,
 * so that the numbers of a column stand point below point.
 * @param {HTMLElement} node
 * @param {string} digits
 */
export function showDigits(node, digits) {
  setText(node, digits);
  const lacks = String(Math.max(0, DECIMALS - fraction(digits).length));
  if (node.dataset.lacks !== lacks) node.dataset.lacks = lacks;
}
