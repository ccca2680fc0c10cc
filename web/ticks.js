// The newest tick of every stock: what is merged and what is dropped. No page and no network in here.

/** @typedef {[ms: number, seq: number]} Id */
/** @typedef {{exchange_name: string, stock_name: string, timestamp: string, id: string, price: number}} Row */
/** @typedef {{exchange: string, stock: string, id: Id, price: number, previous: number | null}} Quote */

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
  skipped = 0;
  /** @type {Id | null} */
  newest = null; // the id of the newest tick of all

  /**
   * A publication of the live feed: rows of columns, many ticks each.
   * @param {string} exchange
   * @param {{columns?: string[], ticks?: any[][], skipped?: number}} publication
   */
  mergePublication(exchange, { columns = [], ticks = [], skipped = 0 }) {
    const [id, stock, price] = ["id", "stock_name", "price"].map((name) => columns.indexOf(name));
    for (const tick of ticks) this.#apply(exchange, tick[stock], tick[id], tick[price]);
    this.skipped += skipped;
  }

  /**
   * The api's snapshot: it may be older than what the feed has brought meanwhile.
   * @param {{stocks: Row[]}} snapshot
   */
  mergeSnapshot({ stocks }) {
    for (const row of stocks) this.#apply(row.exchange_name, row.stock_name, row.id, row.price);
  }

  /** The quotes that are new or differ since the last call. */
  takeChanged() {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /**
   * @param {string} exchange
   * @param {string} stock
   * @param {any} idText
   * @param {any} price
   */
  #apply(exchange, stock, idText, price) {
    const id = parseId(idText);
    if (!id || !Number.isFinite(price)) return;
    const stocks = this.#quotes.get(exchange) ?? new Map();
    this.#quotes.set(exchange, stocks);
    const quote = stocks.get(stock);
    if (quote && !isNewer(id, quote.id)) return; // seen: redelivered, recovered or an older snapshot
    const fresh = Object.assign(quote ?? { exchange, stock }, { id, price, previous: quote?.price ?? null });
    stocks.set(stock, fresh);
    this.#changed.add(fresh);
    if (!this.newest || isNewer(id, this.newest)) this.newest = id;
  }
}
