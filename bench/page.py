"""The page in a Chromium: its weight, its first price, its frames and memory under load"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

import orjson
from playwright.async_api import CDPSession, Page, ViewportSize, async_playwright

from bench.chart import Panel, Point, draw
from bench.load import Load, price, stock_name
from bench.path import SERVICES, serve
from bench.plan import Plan
from bench.report import Report
from bench.soak import MINUTE, slope
from bench.system import System, wait_until
from tests.chromium import find_chromium
from tests.viewer import OWN_FILES

RATE, SECONDS, STOCKS = 5_000, 60.0, 500
QUIET_RATE, QUIET_STOCKS, QUIET_SECONDS = 60, 6, 15.0  # what the generator publishes by itself
QUIET_FRAMES = 3.0  # seconds, without or before the load that is measured
SAMPLE_EVERY, LEAST_SAMPLES = 10.0, 6  # seconds; each sample collects garbage, and stops the page
LIMIT, LOOK_EVERY = 60.0, 0.1  # seconds
WINDOW = ViewportSize(width=1280, height=800)
PROBE = Path(__file__).with_name("page_probe.js")
ROWS = "document.querySelectorAll('#live-table tr[data-stock]')"
WRONG = f"""Object.entries(all).filter(([stock, price]) => ![...{ROWS}].some(
  (row) => row.dataset.stock === stock && row.cells[1].textContent === price))"""


def run(plan: Plan) -> Report:
    """Each run in a browser and on a system of its own."""
    report = Report()
    for number in range(plan.runs):
        sys.stderr.write(f"page, run {number + 1} of {plan.runs}\n")
        with System("page", "redis", "postgres", "centrifugo", "nginx") as system:
            serve(system)
            figures = asyncio.run(_look(system, plan, report))
            for service in SERVICES:
                system.end(service)
            skipped = system.said("forwarder", "progress")[-1]["skipped"]
            report.add(figures | {"not shown, as the feed fell behind": skipped})
    return report


async def _look(system: System, plan: Plan, report: Report) -> dict[str, float]:
    load = Load(plan.rate or RATE, plan.seconds or SECONDS, STOCKS, left_out=plan.left_out)
    quiet = Load(QUIET_RATE, QUIET_SECONDS, QUIET_STOCKS)
    async with _browser(report) as page:
        publishing = asyncio.create_task(asyncio.to_thread(system.publish, quiet))
        await asyncio.to_thread(wait_until, lambda: _is_stored(system), "stocks are stored")
        figures = await _opening(page, system.instance.url)
        await publishing
        figures |= _weight(await page.evaluate(OWN_FILES))
        figures |= await _frames(page, "six stocks")
        figures |= await _under(page, system, load, report)
        await _judge(page, load, report)
    return figures


@asynccontextmanager
async def _browser(report: Report) -> AsyncIterator[Page]:
    """An empty page of one that has never been anywhere."""
    async with async_playwright() as playwright:
        browser = await find_chromium().launch(playwright)
        context = await browser.new_context(viewport=WINDOW)
        await context.add_init_script(path=PROBE)
        page = await context.new_page()
        page.on("pageerror", lambda error: report.miss("on the page", str(error)))
        yield page
        await browser.close()


def _is_stored(system: System) -> bool:
    with urlopen(f"{system.instance.url}/api/stocks", timeout=LIMIT) as answer:  # noqa: S310  # our nginx
        return len(orjson.loads(answer.read())["stocks"]) == QUIET_STOCKS


async def _opening(page: Page, url: str) -> dict[str, float]:
    """Milliseconds from the navigation."""
    await page.goto(url)
    await _until(page, "probe.first.byFeed !== null")
    first = await page.evaluate("probe.first")
    (painted,) = await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map(({startTime}) => startTime)"
    )
    return {
        "first paint, ms": painted,
        "first price, from the snapshot, ms": first["shown"],
        "first price from the feed, ms": first["byFeed"],
        "layout shift while it opens": (await page.evaluate("probe.take()"))["shift"],
    }


def _weight(files: list[tuple[str, int, int]]) -> dict[str, float]:
    """Of OWN_FILES."""
    _, compressed, with_heads = zip(*files, strict=True)
    return {
        "page, compressed, kB": sum(compressed) / 1000,
        "page with its answers' heads, kB": sum(with_heads) / 1000,
        "page, files": len(files),
    }


async def _frames(page: Page, when: str) -> dict[str, float]:
    """Of some quiet seconds."""
    await page.evaluate("probe.take()")
    await asyncio.sleep(QUIET_FRAMES)
    taken = await page.evaluate("probe.take()")
    return _told(taken, when) | {f"{when}, layout shift by updates": taken["shift"]}


def _told(taken: dict[str, float], when: str) -> dict[str, float]:
    stats = {f"{when}, ms a frame: {stat}": taken[stat] for stat in ("p50", "p95", "p99", "max")}
    return {f"{when}, frames/s": taken["rate"]} | stats


async def _under(page: Page, system: System, load: Load, report: Report) -> dict[str, float]:
    """Frames, shifts and memory while all stocks are there, until the load ends."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})  # CPU, not waiting
    publishing = asyncio.create_task(asyncio.to_thread(system.publish, load))
    await _until(page, f"{ROWS}.length === {load.stocks}")
    await asyncio.sleep(QUIET_FRAMES)  # rows are made once, updates go on
    await page.evaluate("probe.take()")
    began = time.monotonic()
    heap: list[Point] = []
    before = await _metrics(session)
    every = min(SAMPLE_EVERY, load.seconds / LEAST_SAMPLES)
    while not (await asyncio.wait({publishing}, timeout=every))[0]:
        await session.send("HeapProfiler.collectGarbage")
        used = (await _metrics(session))["JSHeapUsedSize"]
        heap.append((time.monotonic() - began, used / 1e6))
    taken, after = await page.evaluate("probe.take()"), await _metrics(session)
    busy = (after["TaskDuration"] - before["TaskDuration"]) / (time.monotonic() - began)
    sys.stderr.write(f"  shifted by updates: {taken['moved']}\n")
    when = f"{load.rate:,} ticks/s of {load.stocks} stocks"
    line = [(at / MINUTE, mb) for at, mb in heap]
    report.charts["page.svg"] = draw(
        Panel("The page's JavaScript heap", "minutes", "MB", {"heap": line}, is_log=False)
    )
    return _told(taken, when) | {
        "sent, messages/s": publishing.result()["rate"],
        f"{when}, layout shift by updates": taken["shift"],
        "main thread, % of a core": busy * 100,
        "heap at first, MB": heap[0][1],
        "heap at last, MB": heap[-1][1],
        "heap, kB a minute": slope(heap) * 1000,
        "DOM nodes at last": after["Nodes"],
    }


async def _metrics(session: CDPSession) -> dict[str, float]:
    told = await session.send("Performance.getMetrics")
    return {each["name"]: each["value"] for each in told["metrics"]}


async def _judge(page: Page, load: Load, report: Report) -> None:
    """Every stock shows the last that was sent of it."""
    expected = {
        stock_name(n): price((load.count - 1 - n) // load.stocks + 1) for n in range(load.stocks)
    }
    try:
        await _until(page, f"(all) => {WRONG}.length === 0", expected)
    except TimeoutError:
        wrong = await page.evaluate(f"(all) => {WRONG}", expected)
        report.miss("on the page", f"{len(wrong)} stocks don't show their last price: {wrong[:3]}")


async def _until(page: Page, holds: str, argument: object = None) -> None:
    """Playwright's own wait evaluates a text in the page, which the page's policy forbids."""
    async with asyncio.timeout(LIMIT):
        while not await page.evaluate(holds, argument):  # noqa: ASYNC110  # it's in the browser
            await asyncio.sleep(LOOK_EVERY)
