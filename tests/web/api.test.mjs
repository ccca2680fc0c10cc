// Calls to the api, over a fetch that does as it is told.

import assert from "node:assert/strict";
import { test } from "node:test";

import { getJson, serverNow } from "../../web/api.js";

test("the server's clock is read when its answer begins: a body that takes long doesn't put it back", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.UTC(2026, 10, 25, 12) });
  const headers = new Headers({ Date: new Date().toUTCString() });
  const text = async () => {
    t.mock.timers.setTime(Date.now() + 6000);
    return "{}";
  };
  Object.assign(globalThis, { fetch: async () => ({ ok: true, status: 200, headers, text }) });
  await getJson("/api/prices");
  assert.equal(serverNow(), Date.now());
});
