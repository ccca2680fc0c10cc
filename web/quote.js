// What the page knows of one stock on one exchange: last price, reference, rate, trail.

import { Trail } from "./sparkline.js";

/** @typedef {[ms: number, seq: number]} Id */

const SMOOTHED_MS = 5000; // a rate forgets two thirds of what it was in this time

export class Quote {
  /** @type {number | null} */
  previous = null;
  rate = 0; // updates a second
  trail = new Trail();
  #updates = 0; // since the rate was taken

  /**
   * @param {string} exchange
   * @param {string} stock
   * @param {Id} id
   * @param {number} price
   */
  constructor(exchange, stock, id, price) {
    this.exchange = exchange;
    this.stock = stock;
    this.id = id;
    this.price = price;
    this.reference = price; // what the change is counted from
    this.trail.add(id[0], price);
  }

  /**
   * @param {Id} id newer than the last
   * @param {number} price
   */
  take(id, price) {
    this.previous = this.price;
    this.id = id;
    this.price = price;
    this.trail.add(id[0], price);
  }

  count() {
    this.#updates += 1;
  }

  /** @param {number} elapsed milliseconds since the last call */
  measure(elapsed) {
    const now = this.#updates / (elapsed / 1000);
    const kept = Math.exp(-elapsed / SMOOTHED_MS);
    this.rate = this.rate * kept + now * (1 - kept);
    this.#updates = 0;
  }
}
