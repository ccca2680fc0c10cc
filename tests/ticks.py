"""Ticks as tests make them: stream entries with ids like the bridge's, and what became of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.asyncio import Redis

from pipeline.stream import Entry
from tests.meanwhile import meanwhile
from tests.waiting import POLL_EVERY, wait_until

if TYPE_CHECKING:
    import asyncpg

IN_ONE_CALL = 1000


class Row(NamedTuple):
    """A row of `stock_prices`, comparable: the price is the text of a numeric, zeros and all."""

    event_id: int
    received_us: int
    stock_name: str
    exchange_name: str
    price: str


def entries(
    messages: Iterable[str | bytes], *, channel: str = "NYSE", first_us: int | None = None
) -> list[Entry]:
    """An entry for each message, received 1 µs apart, from now on or from `first_us` on."""
    begin = time.time_ns() // 1000 if first_us is None else first_us
    return [
        (
            b"%d-%d" % (us // 1000, us % 1000 << 10),
            channel.encode(),
            message.encode() if isinstance(message, str) else message,
        )
        for us, message in enumerate(messages, begin)
    ]


def numbered(count: int, name: str = "TSLA") -> list[str]:
    """Messages that all differ: the price is a running number."""
    return [f"{name}:{number}" for number in range(1, count + 1)]


def row(entry: Entry) -> Row:
    """What the table should have of a good entry; worked out here, not by the code under test."""
    ms, sequence = (int(half) for half in entry[0].split(b"-"))
    stock_name, price = entry[2].decode().rsplit(":", 1)
    packed, received_us = ms * 2**20 + sequence, ms * 1000 + sequence // 1024
    return Row(packed, received_us, stock_name, entry[1].decode(), price)


def ids(some: Iterable[Entry]) -> list[bytes]:
    return [entry_id for entry_id, _, _ in some]


async def append(redis: Redis, stream: str, new: Sequence[Entry]) -> None:
    """As the bridge does it: ids of its own, two fields."""
    for begin in range(0, len(new), IN_ONE_CALL):
        calls: Any = redis.pipeline(transaction=False)
        async with calls:
            for entry_id, channel, message in new[begin : begin + IN_ONE_CALL]:
                calls.xadd(stream, {"channel": channel, "message": message}, id=entry_id)
            await calls.execute()


async def pending(redis: Redis, stream: str, group: str) -> int:
    """Delivered and not acknowledged."""
    found = await _group(redis, stream, group)
    return int(found["pending"]) if found else 0


async def in_hand(redis: Redis, stream: str, group: str, count: int) -> None:
    """Return once so many entries are delivered and not acknowledged."""

    async def given() -> bool:
        return await pending(redis, stream, group) == count

    await wait_until(given, what=f"{count} entries in the hands of {group}")


async def all_settled(redis: Redis, stream: str, group: str, limit: float = 20.0) -> None:
    """Return once every entry is delivered and acknowledged."""
    what = f"every entry acknowledged by {group}"
    await wait_until(lambda: settled(redis, stream, group), limit, what)


async def settled(redis: Redis, stream: str, group: str) -> bool:
    """Every entry is delivered and acknowledged."""
    if not (found := await _group(redis, stream, group)):
        return False
    info: dict[str, Any] = await redis.xinfo_stream(stream)
    delivered: bool = found["last-delivered-id"] == info["last-generated-id"]
    return delivered and not found["pending"]


async def dead_letters(redis: Redis, stream: str, group: str) -> list[dict[bytes, bytes]]:
    letters: Any = await redis.xrange(f"{{{stream}}}:dead:{group}")
    return [fields for _, fields in letters]


async def stored(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Row]:
    """All rows, in the order of the stream."""
    rows = await connection.fetch("""
        SELECT event_id, (extract(epoch FROM timestamp) * 1000000)::bigint,
               stock_name, exchange_name, price::text
        FROM stock_prices ORDER BY event_id
    """)
    return [Row(*found) for found in rows]


async def _group(redis: Redis, stream: str, group: str) -> dict[str, Any] | None:
    if not await redis.exists(stream):
        return None
    groups: list[dict[str, Any]] = await redis.xinfo_groups(stream)
    return next((found for found in groups if found["name"] == group.encode()), None)


@asynccontextmanager
async def trading(redis: Redis, stream: str, together: int = 1) -> AsyncIterator[list[Entry]]:
    """So many about fifty times a second, until the end; what is in the stream of them."""
    sent: list[Entry] = []

    async def trade(over: asyncio.Event) -> None:
        while not over.is_set():
            new = entries([f"TSLA:{len(sent) + at}" for at in range(1, together + 1)])
            await append(redis, stream, new)
            sent.extend(new)
            await asyncio.sleep(POLL_EVERY)

    async with meanwhile(trade):
        yield sent
