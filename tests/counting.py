"""Counting: what went into a whole system, looked for at both of its ends."""

from dataclasses import dataclass

from tests.market import STOCKS, Position, Said, halves
from tests.outside import PATIENCE, Outside
from tests.waiting import wait_until

COUNT = """
SELECT count(*) AS rows, count(DISTINCT event_id) AS ids,
       count(*) FILTER (WHERE stock_name = ANY($3)) AS ours,
       count(DISTINCT (stock_name, price)) FILTER (WHERE stock_name = ANY($3)) AS numbers
FROM stock_prices WHERE event_id > $1 AND event_id <= $2
"""
SAID = """
SELECT stock_name, exchange_name, price::text FROM stock_prices
WHERE event_id > $1 AND event_id <= $2 ORDER BY event_id
"""


@dataclass(frozen=True)
class Counted:
    """Rows between two positions: all of them, and those of the test's own market."""

    rows: int
    ids: int
    ours: int
    numbers: int


async def count(outside: Outside, before: Position, after: Position) -> Counted:
    [row] = await outside.sql(COUNT, before.event_id, after.event_id, list(STOCKS))
    return Counted(**row)


async def said(outside: Outside, before: Position, after: Position) -> list[Said]:
    """The rows as messages, in the order of the stream."""
    rows = await outside.sql(SAID, before.event_id, after.event_id)
    return [(row["stock_name"], row["exchange_name"], row["price"]) for row in rows]


async def at_both_ends(outside: Outside) -> Position:
    """How far the stream is once the feed shows the newest prices, and the table is as far."""
    market = outside.market
    newest: dict[str, tuple[tuple[int, int], str]] = {}
    taken = 0

    def up_to_date() -> bool:
        """As the page does it: what isn't newer than what is shown isn't shown."""
        nonlocal taken
        publications = outside.feed.publications[taken:]
        taken += len(publications)
        for publication in publications:
            for entry_id, stock_name, price, *_ in publication["ticks"]:
                shown = (halves(entry_id), str(price))
                newest[stock_name] = max(newest.get(stock_name, shown), shown)
        return market.newest.items() <= {name: price for name, (_, price) in newest.items()}.items()

    await wait_until(up_to_date, PATIENCE, f"{market.newest} in the feed")
    position = await market.position()
    await outside.is_stored(position)
    # The newest row may be one writer's, while another has older ones in hand.
    await wait_until(lambda: market.is_done("writer", position), PATIENCE)
    return position


async def further(outside: Outside, before: Position, by: int = 1000) -> Position:
    """A position at least so many appends after the one given."""

    async def moved() -> Position | None:
        position = await outside.market.position()
        return position if position.appended > before.appended + by else None

    return await wait_until(moved, PATIENCE)
