// Runs before the page's own scripts: when prices were first shown, what moved, how long frames took.

(() => {
  const PRICE = "#live-table tr[data-stock] td:nth-child(2)";
  const BUCKET_MS = 0.5;
  const MOVED = 10;
  const frames = new Uint32Array(4000); // how many took so long; nothing in here grows
  /** @type {{shown: number | null, fed: number | null, byFeed: number | null}} */
  const first = { shown: null, fed: null, byFeed: null }; // ms from the navigation
  let shift = 0;
  /** @type {string[]} */
  const moved = []; // what shifted first, for whoever wonders
  let longest = 0;
  let last = 0;
  let began = 0;

  const watch = new MutationObserver((changes) => {
    const price = document.querySelector(PRICE);
    if (!/\d/.test(price?.textContent ?? "")) return;
    first.shown ??= performance.now();
    if (first.fed === null || !changes.some(({ target }) => priceOf(target))) return;
    first.byFeed = performance.now();
    watch.disconnect(); // it would cost what is to be measured
  });
  watch.observe(document, { subtree: true, childList: true, characterData: true });

  /** @param {any} node */
  const nameOf = (node) => {
    const { nodeName = "", id = "", className = "" } = (node?.tagName ? node : node?.parentElement) ?? {};
    return `${nodeName} ${id} ${className}`;
  };

  /** @param {Node} node */
  function priceOf(node) {
    return (node instanceof Element ? node : node.parentElement)?.closest(PRICE);
  }

  globalThis.WebSocket = class extends WebSocket {
    /** @param {ConstructorParameters<typeof WebSocket>} given */
    constructor(...given) {
      super(...given);
      /** @param {MessageEvent} message */
      const told = ({ data }) => {
        if (!String(data).includes('"pub"')) return;
        first.fed = performance.now();
        this.removeEventListener("message", told);
      };
      this.addEventListener("message", told);
    }
  };

  new PerformanceObserver((list) => {
    for (const { value, sources } of /** @type {any[]} */ (list.getEntries())) {
      shift += value;
      for (const { node } of sources) if (moved.length < MOVED) moved.push(nameOf(node));
    }
  }).observe({ type: "layout-shift", buffered: true });

  /** @param {number} now */
  function frame(now) {
    requestAnimationFrame(frame);
    if (last) {
      const ms = now - last;
      frames[Math.min(frames.length - 1, Math.floor(ms / BUCKET_MS))] += 1;
      longest = Math.max(longest, ms);
    }
    began ||= now;
    last = now;
  }
  requestAnimationFrame(frame);

  /** @param {number} share */
  function quantile(share) {
    const count = frames.reduce((sum, n) => sum + n, 0);
    let [bucket, seen] = [0, frames[0]];
    while (seen < share * count) seen += frames[++bucket];
    return (bucket + 1) * BUCKET_MS;
  }

  Object.assign(globalThis, {
    probe: {
      first,
      /** Of the time since the last call. */
      take() {
        const count = frames.reduce((sum, n) => sum + n, 0);
        const taken = { rate: (count / (last - began)) * 1000, p50: quantile(0.5), p95: quantile(0.95) };
        const all = { ...taken, p99: quantile(0.99), max: longest, shift, moved: moved.splice(0) };
        frames.fill(0);
        [shift, longest, began] = [0, 0, last];
        return all;
      },
    },
  });
})();
