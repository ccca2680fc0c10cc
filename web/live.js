// The live feed: a snapshot from the api, then Centrifugo's channels, merged into the board.

import { getJson } from "./api.js";

/** @import { Centrifuge, Subscription } from "centrifuge" */
/** @import { Board } from "./ticks.js" */
/** @typedef {"connecting" | "live" | "reconnecting" | "disconnected"} State */
/**
 * @typedef {object} Show how the feed tells what happens
 * @property {() => void} changed
 * @property {(state: State) => void} state
 * @property {(exchanges: string[]) => void} missed
 * @property {(problem: string | null) => void} snapshot
 */

const CHANNELS = { "prices:NYSE": "NYSE", "prices:NASDAQ": "NASDAQ" };
const BEHIND_MS = 7000; // a snapshot is a flush (5 s) behind, and a little more
const SNAPSHOT_FIRST_MS = 2000;
const LONGEST_PAUSE_MS = 10_000;

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class LiveFeed {
  #board;
  #show;
  /** @type {Centrifuge | null} */
  #client = null;
  /** @type {Subscription[]} */
  #subscriptions = [];
  #wasLive = false;
  /** @type {Promise<void> | null} */
  #loading = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again;
  /** @type {Set<string>} */
  #missed = new Set();

  /**
   * @param {Board} board
   * @param {Show} show
   */
  constructor(board, show) {
    this.#board = board;
    this.#show = show;
  }

  async start() {
    // An api that is away doesn't hold back live prices.
    await Promise.race([this.#reload(), pause(SNAPSHOT_FIRST_MS)]);
    this.connect();
  }

  connect() {
    this.#client ??= this.#open();
    for (const subscription of this.#subscriptions) subscription.subscribe();
    this.#client.connect();
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const client = new globalThis.Centrifuge(`${scheme}://${location.host}/connection/websocket`, {
      maxReconnectDelay: 5000,
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
    subscription.on("subscribed", ({ wasRecovering, recovered }) => {
      if (wasRecovering && !recovered) this.#gap(exchange);
    });
    subscription.on("subscribing", () => this.#tellState());
    subscription.on("subscribed", () => this.#tellState());
    subscription.on("unsubscribed", () => this.#tellState());
    return subscription;
  }

  /** Told once what belongs together has happened: connecting changes three states one after another. */
  #tellState() {
    queueMicrotask(() => this.#show.state(this.#state()));
  }

  /** @returns {State} */
  #state() {
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
   * Both channels tell of the same break within moments: one gap, one reload.
   * @param {string} exchange
   */
  async #gap(exchange) {
    const first = this.#missed.size === 0;
    this.#missed.add(exchange);
    if (!first) return;
    await this.#reload();
    this.#show.missed([...this.#missed].sort());
    this.#missed.clear();
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
        this.#show.snapshot(error instanceof Error ? error.message : String(error));
        await pause(wait);
      }
    }
    this.#show.snapshot(null);
    this.#show.changed();
  }
}
