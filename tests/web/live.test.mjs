// The feed through breaks and sleep, over a client that does as it is told: no network, no page.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { LiveFeed } from "../../web/live.js";
import { Board } from "../../web/ticks.js";

/** @import { Gap } from "../../web/connection.js" */

const NOW = Date.UTC(2026, 10, 25, 12);
const [NYSE, NASDAQ] = ["prices:NYSE", "prices:NASDAQ"];

class Emitter {
  state = "disconnected";
  /** @type {Record<string, ((event: any) => void)[]>} */
  #listeners = {};

  /** @param {string} name @param {(event: any) => void} listener */
  on(name, listener) {
    (this.#listeners[name] ??= []).push(listener);
  }

  /** @param {string} name @param {any} [event] */
  emit(name, event = {}) {
    for (const listener of this.#listeners[name] ?? []) listener(event);
  }

  /** @param {string} state @param {any} [event] */
  become(state, event) {
    this.state = state;
    this.emit(state, event);
  }
}

class Channel extends Emitter {
  constructor() {
    super();
    this.state = "unsubscribed";
  }

  subscribe() {
    if (this.state === "unsubscribed") this.become("subscribing");
  }

  /** @param {boolean} wasRecovering @param {boolean} recovered */
  back(wasRecovering = false, recovered = false) {
    this.become("subscribed", { wasRecovering, recovered });
  }

  /** @param {number} ms @param {string} stock */
  tick(ms, stock) {
    const data = { columns: ["id", "stock_name", "price"], ticks: [[`${ms}-0`, stock, 5]] };
    this.emit("publication", { data });
  }
}

class Client extends Emitter {
  /** @type {Record<string, Channel>} */
  channels = {};
  /** @type {string[]} */
  calls = [];

  /** @param {[string, any]} given its address and options */
  constructor(...given) {
    super();
    this.options = given[1];
    client = this;
  }

  /** @param {string} name */
  newSubscription(name) {
    return (this.channels[name] = new Channel());
  }

  connect() {
    this.calls.push("connect");
    if (this.state === "disconnected") this.become("connecting");
  }

  disconnect() {
    this.calls.push("disconnect");
    this.become("disconnected");
  }

  break() {
    this.become("connecting");
    for (const channel of Object.values(this.channels)) {
      if (channel.state === "subscribed") channel.become("subscribing");
    }
  }
}

/** @type {Client} */
let client;
/** @type {Gap[]} */
let gaps = [];
/** @type {number[]} */
let recoveries = [];
let reloads = 0;
let board = new Board();
/** @type {LiveFeed} */
let feed;

/** What was promised has been done, however many steps that takes. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

beforeEach((t) => {
  const { mock } = /** @type {import("node:test").TestContext} */ (t);
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW });
  const stocks = [{ stock_name: "DIS", exchange_name: "NYSE", price: 145, timestamp: "", id: "1-0" }];
  const answer = async () => new Response(JSON.stringify({ stocks }), { status: 200 });
  const reload = () => (reloads += 1);
  Object.assign(globalThis, {
    Centrifuge: Client,
    WebSocket: class extends EventTarget {},
    fetch: answer,
    location: { protocol: "http:", host: "there", reload },
  });
  [gaps, recoveries, reloads, board] = [[], [], 0, new Board()];
  feed = new LiveFeed(board, {
    changed() {},
    state() {},
    missed: (gap) => gaps.push(gap),
    recovered: (since) => recoveries.push(since),
    snapshot() {},
  });
});

async function live() {
  await feed.start();
  client.become("connected");
  for (const channel of Object.values(client.channels)) channel.back();
  await settled();
  client.channels[NYSE].tick(NOW - 60_000, "TSLA");
  client.channels[NASDAQ].tick(NOW - 5000, "AAPL");
  client.calls = [];
}

test("what one channel recovers and the other doesn't is a gap of the other", async () => {
  await live();
  client.break();
  client.become("connected");
  client.channels[NASDAQ].back(true, true);
  client.channels[NYSE].back(true, false);
  await settled();
  assert.deepEqual(gaps, [{ exchanges: ["NYSE"], from: NOW - 60_000, to: NOW }]);
  assert.deepEqual(recoveries, []);
});

test("a channel that missed something before the other was back has missed it when all are back", async () => {
  await live();
  client.break();
  client.become("connected");
  client.channels[NYSE].back(true, false);
  client.channels[NYSE].tick(NOW - 10_000, "TSLA");
  await settled();
  client.break();
  client.become("connected");
  for (const channel of Object.values(client.channels)) channel.back(true, false);
  await settled();
  assert.deepEqual(gaps, [{ exchanges: ["NASDAQ", "NYSE"], from: NOW - 60_000, to: NOW }]);
});

test("after a sleep a silent connection is made anew, once; one that heard a ping or is being made isn't", async (t) => {
  await live();
  const socket = new client.options.websocket("ws://there");
  t.mock.timers.tick(60_000);
  socket.dispatchEvent(new Event("message"));
  t.mock.timers.tick(25_000);
  feed.wake();
  assert.deepEqual(client.calls, []);
  for (let again = 0; again < 3; again += 1) {
    t.mock.timers.tick(30_000);
    feed.wake();
  }
  assert.deepEqual(client.calls, ["disconnect", "connect"]);
});

test("without the feed's program the stored prices come, and to connect is to load the page again", async () => {
  Object.assign(globalThis, { Centrifuge: undefined });
  await assert.rejects(feed.start());
  await settled();
  assert.deepEqual(board.newest, [1, 0]);
  feed.connect();
  assert.equal(reloads, 1);
});
