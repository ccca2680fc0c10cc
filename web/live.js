// The live feed: a snapshot from the api, then Centrifugo's channels, merged into the board.

import { getJson, serverNow, wordsOf } from "./api.js";
import { pause } from "./pause.js";
import { FLUSH, PING } from "./rhythm.js";

/** @import { Centrifuge, Subscription } from "centrifuge" */
/** @import { Feed, Gap } from "./connection.js" */
/** @import { Board } from "./ticks.js" */
/**
 * @typedef {object} Show how the feed tells what happens
 * @property {() => void} changed
 * @property {(state: Feed) => void} state
 * @property {(gap: Gap) => void} missed
 * @property {(since: number) => void} recovered
 * @property {(problem: string | null) => void} snapshot
 */
/** @typedef {{at: number, newest: number | null}} Break */

const CHANNELS = { "prices:NYSE": "NYSE", "prices:NASDAQ": "NASDAQ" };
const BEHIND_MS = FLUSH + 2000; // a snapshot is a flush behind, and a little more
const SNAPSHOT_FIRST_MS = 2000;
const LONGEST_PAUSE_MS = 10_000;
const SILENT_MS = PING + 3000; // a connection that was silent for longer may be dead

/** A WebSocket that tells of each message, pings too, of which the client says nothing. @param {() => void} heard */
const listening = (heard) =>
  class extends WebSocket {
    /** @param {string} url @param {string[]} protocols */
    constructor(url, ...protocols) {
      super(url, ...protocols);
      this.addEventListener("message", heard);
    }
  };

export class LiveFeed {
  #board;
  #show;
  /** @type {Centrifuge | null} */
  #client = null;
  /** @type {Subscription[]} */
  #subscriptions = [];
  #subscribing = false; // not before there is a snapshot
  #wasLive = false;
  #heard = Date.now();
  /** @type {Promise<void> | null} */
  #loading = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again;
  /** @type {Map<string, Break>} */
  #breaks = new Map(); // exchange → when its channel broke off, and the last tick it had
  /** @type {Map<string, Break>} */
  #missed = new Map();
  /** @type {number | null} */
  #recoveredSince = null;

  /**
   * @param {Board} board
   * @param {Show} show
   */
  constructor(board, show) {
    this.#board = board;
    this.#show = show;
  }

  async start() {
    const loaded = this.#reload(); // first: the stored prices need no client
    this.#client = this.#open();
    this.#client.connect(); // meanwhile
    // An api that is away doesn't hold back live prices.
    await Promise.race([loaded, pause(SNAPSHOT_FIRST_MS)]);
    this.connect();
  }

  connect() {
    if (!this.#client) return location.reload(); // its program didn't come: that is asked for anew only so
    this.#subscribing = true;
    for (const subscription of this.#subscriptions) subscription.subscribe();
    this.#client.connect();
  }

  /**
   * To be called when the computer may have slept: a connection that has been silent is made anew at once,
   * from where it was, instead of once the client has missed a ping. One that is being made is left to the client,
   * which also listens to online.
   */
  wake() {
    if (this.#client?.state !== "connected" || Date.now() - this.#heard < SILENT_MS) return;
    this.#heard = Date.now();
    this.#client.disconnect();
    this.#client.connect();
  }

  #open() {
    if (!globalThis.Centrifuge) throw new Error("the program that receives them can't be loaded.");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const client = new globalThis.Centrifuge(`${scheme}://${location.host}/connection/websocket`, {
      maxReconnectDelay: 5000,
      websocket: listening(() => {
        this.#heard = Date.now();
      }),
    });
    client.on("connecting", () => this.#tellState());
    client.on("connected", () => this.#tellState());
    client.on("disconnected", () => this.#tellState());
    this.#subscriptions = Object.entries(CHANNELS).map((names) => this.#follow(client, ...names));
    return client;
  }

  /**
   * @param {Centrifuge} client
   * @param {string} channel
   * @param {string} exchange
   */
  #follow(client, channel, exchange) {
    const subscription = client.newSubscription(channel);
    subscription.on("publication", ({ data }) => {
      this.#board.mergePublication(exchange, data);
      this.#show.changed();
    });
    subscription.on("subscribing", () => {
      const newest = this.#board.newestOf(exchange)?.[0] ?? null;
      if (this.#wasLive && !this.#breaks.has(exchange))
        this.#breaks.set(exchange, { at: serverNow(), newest });
      this.#tellState();
    });
    subscription.on("subscribed", ({ wasRecovering, recovered }) => {
      if (wasRecovering) this.#mended(exchange, recovered);
      this.#breaks.delete(exchange);
      this.#tellState();
    });
    subscription.on("unsubscribed", () => this.#tellState());
    return subscription;
  }

  /** Told once what belongs together has happened: connecting changes three states one after another. */
  #tellState() {
    queueMicrotask(() => {
      const state = this.#state();
      this.#show.state(state);
      if (state === "live") this.#tellBreak();
    });
  }

  /** @returns {Feed} */
  #state() {
    if (!this.#subscribing) return "connecting";
    const states = this.#subscriptions.map(({ state }) => state);
    const refused = states.some((state) => state === "unsubscribed"); // for good, like a client that is disconnected
    if (this.#client?.state === "disconnected" || refused) return "disconnected";
    if (this.#client?.state === "connected" && states.every((state) => state === "subscribed")) {
      this.#wasLive = true;
      return "live";
    }
    return this.#wasLive ? "reconnecting" : "connecting";
  }

  /**
   * A channel is back: with all that was said meanwhile, or with a gap.
   * @param {string} exchange
   * @param {boolean} recovered
   */
  #mended(exchange, recovered) {
    const broke = this.#breaks.get(exchange) ?? { at: serverNow(), newest: null };
    if (recovered) this.#recoveredSince = Math.min(this.#recoveredSince ?? Infinity, broke.at);
    else if (!this.#missed.has(exchange)) this.#missed.set(exchange, broke); // since the first of several breaks
  }

  /** The channels tell of the same break one after another: one gap and one reload, or one recovery. */
  #tellBreak() {
    const since = this.#recoveredSince;
    this.#recoveredSince = null;
    if (this.#missed.size) {
      const to = serverNow();
      const from = Math.min(to, ...[...this.#missed.values()].map(({ at, newest }) => newest ?? at));
      const exchanges = [...this.#missed.keys()].sort();
      this.#missed.clear();
      this.#show.missed({ exchanges, from, to });
      this.#reload();
    } else if (since !== null) {
      this.#show.recovered(since);
    }
  }

  async #reload() {
    clearTimeout(this.#again);
    await this.#load();
    this.#again = setTimeout(() => this.#load(), BEHIND_MS);
  }

  #load() {
    this.#loading ??= this.#loadUntilDone().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #loadUntilDone() {
    for (let wait = 1000; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
      try {
        this.#board.mergeSnapshot(await getJson("/api/stocks"));
        break;
      } catch (error) {
        this.#show.snapshot(wordsOf(error));
        await pause(wait);
      }
    }
    this.#show.snapshot(null);
    this.#show.changed();
  }
}
