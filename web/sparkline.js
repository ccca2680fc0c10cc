// A stock's last minute as a small line: one point a second, in a ring of fixed size.

const SECONDS = 60;
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [60, 16];

/** The last price of each of the last 60 seconds that had one. It never grows. */
export class Trail {
  #prices = new Float64Array(SECONDS);
  #at = -1; // of the newest price
  #second = NaN;
  length = 0;

  /**
   * @param {number} ms the tick's time; never before the last one's
   * @param {number} price
   */
  add(ms, price) {
    const second = Math.floor(ms / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#at = (this.#at + 1) % SECONDS;
      this.length = Math.min(this.length + 1, SECONDS);
    }
    this.#prices[this.#at] = price;
  }

  /**
   * The price so many points ago; 0 is the newest.
   * @param {number} ago below length
   */
  back(ago) {
    return this.#prices[(this.#at - ago + SECONDS) % SECONDS];
  }
}

/**
 * The line as an SVG path, the newest point at the right edge; empty of less than two points.
 * @param {Trail} trail
 * @returns {string}
 */
export function linePath(trail) {
  if (trail.length < 2) return "";
  let [low, high] = [Infinity, -Infinity];
  for (let ago = 0; ago < trail.length; ago += 1) {
    low = Math.min(low, trail.back(ago));
    high = Math.max(high, trail.back(ago));
  }
  const scale = high > low ? (HEIGHT - 2) / (high - low) : 0;
  const floor = scale ? HEIGHT - 1 : HEIGHT / 2; // a price that stood still is a line in the middle
  let path = "";
  for (let ago = trail.length - 1; ago >= 0; ago -= 1) {
    const x = WIDTH - 1 - (ago * (WIDTH - 2)) / (SECONDS - 1);
    const y = floor - (trail.back(ago) - low) * scale;
    path += `${path ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
  }
  return path;
}

/** An empty drawing and its path; its colour is the text's, so it follows light and dark by itself. */
export function drawing() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true"); // the change beside it says it in words
  const path = document.createElementNS(SVG, "path");
  svg.append(path);
  return { svg, path };
}
