// The newest tick of every stock: what is merged and what is dropped. No page and no network in here.

import { Quote } from "./quote.js";

/** @import { Id } from "./quote.js" */
/** @typedef {{exchange_name: string, stock_name: string, timestamp: string, id: string, price: number}} Row */
/**
 * @typedef {object} Tick as those who follow a stock get it
 * @property {Id} id
 * @property {number} price
 */
/** @typedef {(tick: Tick) => void} Listener */

/**
 * "1763000000000-12" as two numbers (the milliseconds stay below 2^53, the count below 2^20), or null.
 * @param {any} id
 * @returns {Id | null}
 */
export function parseId(id) {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(id);
  return match && [Number(match[1]), Number(match[2])];
}

/**
 * @param {Id} tick
 * @param {Id} than
 */
export function isNewer([ms, seq], [thanMs, thanSeq]) {
  return ms > thanMs || (ms === thanMs && seq > thanSeq);
}

export class Board {
  /** @type {Map<string, Map<string, Quote>>} */
  #quotes = new Map(); // exchange → stock → quote
  /** @type {Set<Quote>} */
  #changed = new Set();
  /** @type {Map<string, Set<Listener>>} */
  #followers = new Map(); // by stock
  /** @type {Map<string, Id>} */
  #newest = new Map(); // by exchange
  /** @type {Set<string>} */
  #stored = new Set(); // names that a snapshot had
  merged = 0; // ticks that were news
  skipped = 0;
  refused = 0;
  refusal = ""; // why the last one was
  /** @type {Id | null} */
  newest = null; // the id of the newest tick of all

  /**
   * A publication of the live feed: rows of columns, many ticks each. Whatever can't be used is refused
   * and counted, and the rest is merged.
   * @param {string} exchange
   * @param {unknown} publication {columns: string[], ticks: any[][], skipped?: number}
   */
  mergePublication(exchange, publication) {
    const { columns, ticks, skipped = 0 } = /** @type {Record<string, any>} */ (publication ?? {});
    if (!Array.isArray(columns) || !Array.isArray(ticks)) {
      this.#refuse("a message without columns or ticks");
      return;
    }
    const [id, stock, price] = ["id", "stock_name", "price"].map((name) => columns.indexOf(name));
    for (const tick of ticks) {
      this.#apply(exchange, tick?.[stock], tick?.[id], tick?.[price])?.count();
    }
    if (Number.isSafeInteger(skipped) && skipped >= 0) this.skipped += skipped;
    else this.#refuse("a message whose count of skipped ticks is no count");
  }

  /**
   * The api's snapshot: it may be older than what the feed has brought meanwhile.
   * @param {unknown} snapshot {stocks: Row[]}; throws an Error that says so when it has no such list
   */
  mergeSnapshot(snapshot) {
    const { stocks } = /** @type {{stocks?: Row[]}} */ (snapshot ?? {});
    if (!Array.isArray(stocks)) throw new Error("The api's answer has no list of stocks.");
    for (const row of stocks) {
      this.#apply(row?.exchange_name, row?.stock_name, row?.id, row?.price);
      this.#stored.add(row?.stock_name);
    }
  }

  /**
   * Whether the api has a past of it: what is new in the feed is stored only seconds later.
   * @param {string} stock
   */
  isStored(stock) {
    return this.#stored.has(stock);
  }

  /**
   * Every tick of a stock that is merged from now on, in order, also one that a snapshot brings; not those
   * that were left out (conflated, or missed in a gap): the history has them. Returns what ends it.
   * @param {string} stock
   * @param {Listener} listener
   * @returns {() => void}
   */
  follow(stock, listener) {
    const followers = this.#followers.get(stock) ?? new Set();
    this.#followers.set(stock, followers.add(listener));
    return () => {
      followers.delete(listener);
      if (followers.size === 0 && this.#followers.get(stock) === followers) this.#followers.delete(stock);
    };
  }

  /**
   * The id of the exchange's newest tick.
   * @param {string} exchange
   */
  newestOf(exchange) {
    return this.#newest.get(exchange) ?? null;
  }

  /** The quotes that are new or differ since the last call. */
  takeChanged() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** @param {number} elapsed milliseconds since the last call */
  measure(elapsed) {
    for (const quote of this.#all()) quote.measure(elapsed);
  }

  /** Changes are counted from the prices of now. */
  resetReference() {
    for (const quote of this.#all()) {
      quote.reference = quote.price;
      this.#changed.add(quote);
    }
  }

  *#all() {
    for (const stocks of this.#quotes.values()) yield* stocks.values();
  }

  /** @param {string} why */
  #refuse(why) {
    this.refused += 1;
    this.refusal = why;
  }

  /**
   * The stock's quote, if the tick is news.
   * @param {unknown} exchange
   * @param {unknown} stock
   * @param {unknown} idText
   * @param {unknown} price
   * @returns {Quote | null}
   */
  #apply(exchange, stock, idText, price) {
    const id = typeof idText === "string" ? parseId(idText) : null;
    if (!id || typeof stock !== "string" || !stock || typeof exchange !== "string") {
      this.#refuse("a tick without an id or a stock's name");
      return null;
    }
    if (typeof price !== "number" || !Number.isFinite(price)) {
      this.#refuse(`a tick of ${stock} whose price is no number`);
      return null;
    }
    const known = this.#quotes.get(exchange)?.get(stock);
    if (known && !isNewer(id, known.id)) return null; // seen: redelivered, recovered or an older snapshot
    known?.take(id, price);
    const quote = known ?? this.#add(new Quote(exchange, stock, id, price));
    this.#merged(quote);
    return quote;
  }

  /** @param {Quote} quote */
  #add(quote) {
    const stocks = this.#quotes.get(quote.exchange) ?? new Map();
    this.#quotes.set(quote.exchange, stocks.set(quote.stock, quote));
    return quote;
  }

  /** @param {Quote} quote */
  #merged(quote) {
    const { id, stock, exchange, price } = quote;
    this.#changed.add(quote);
    this.merged += 1;
    if (!this.newest || isNewer(id, this.newest)) this.newest = id;
    const newest = this.#newest.get(exchange);
    if (!newest || isNewer(id, newest)) this.#newest.set(exchange, id);
    for (const listener of this.#followers.get(stock) ?? []) tell(listener, { id, price });
  }
}

/**
 * A listener's fault is reported as one, and stops neither the others nor the feed.
 * @param {Listener} listener
 * @param {Tick} tick
 */
function tell(listener, tick) {
  try {
    listener(tick);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
