"""Candles against brute force: random ticks and batches, repeats, late ones, two writers."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import PostgresDsn

from pipeline.outage import persist
from pipeline.stream import Entry
from tests.candles import candles, expected
from tests.conftest import Database
from tests.expected import Tick, tick_of
from writer.store import TickStore

BEGIN_MS = int((datetime.now(UTC) - timedelta(minutes=3)).timestamp() * 1000)
# As the table computes it, and as PostgreSQL does it over the ticks themselves.
FROM_CANDLES = """
SELECT (sum(sum) / sum(count))::text FROM candles WHERE stock_name = $1 AND minutes = $2
"""
FROM_TICKS = "SELECT avg(price)::text FROM stock_prices WHERE stock_name = $1"

prices = st.builds(
    lambda digits, places: format(Decimal(digits).scaleb(-places), "f"),
    st.integers(1, 10**18 - 1),
    st.integers(0, 18),
)
# Few moments of three minutes, so that ticks meet in a minute, at its edges, in a microsecond.
ids = st.tuples(
    st.sampled_from([0, 1, 59_999, 60_000, 119_999, 120_000]),
    st.sampled_from([0, 1, 1023, 1024, 1_023_999]),
)
messages = st.builds("{}:{}".format, st.sampled_from(["A", "B"]), prices)
ticks = st.dictionaries(ids, messages, min_size=1, max_size=20)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Entry], list[list[Entry]]]:
    """Ticks, and the batches in which they come: each at least once, in any order."""
    entries = [
        (f"{BEGIN_MS - BEGIN_MS % 60_000 + ms}-{sequence}".encode(), b"NYSE", message.encode())
        for (ms, sequence), message in draw(ticks).items()
    ]
    some = st.lists(st.sampled_from(entries), min_size=1, max_size=8, unique=True)
    batches = draw(st.lists(some, max_size=8))
    rest = [entry for entry in entries if not any(entry in batch for batch in batches)]
    return entries, [*batches, *([rest] if rest else [])]


@given(delivered=deliveries())
@settings(
    max_examples=60,
    deadline=None,  # others use the machine too
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # emptied for each example
)
async def test_candles_and_averages_are_what_brute_force_says_to_the_last_digit(
    postgres: Database, delivered: tuple[list[Entry], list[list[Entry]]]
) -> None:
    entries, batches = delivered
    await postgres.connection.execute("TRUNCATE stock_prices, candles")
    await store(postgres, batches)
    await holds(postgres, [tick_of(entry) for entry in entries])


async def store(postgres: Database, batches: list[list[Entry]]) -> None:
    """By two writers, each with every other batch."""
    dsn, stop = PostgresDsn(postgres.dsn("writer")), asyncio.Event()

    async def write(share: list[list[Entry]]) -> None:
        async with TickStore(dsn) as writer:
            for batch in share:
                assert await persist(partial(writer.save, batch), stop) == []

    await asyncio.gather(write(batches[::2]), write(batches[1::2]))


async def holds(postgres: Database, stored: list[Tick]) -> None:
    connection = postgres.connection
    assert await connection.fetchval("SELECT count(*) FROM stock_prices") == len(stored)
    found = await candles(connection)
    assert {key: tuple(map(digits, it)) for key, it in found.items()} == {
        key: tuple(map(digits, it)) for key, it in expected(stored).items()
    }
    for name in {tick.stock_name for tick in stored}:
        average = await connection.fetchval(FROM_TICKS, name)
        for minutes in (1, 60):
            assert await connection.fetchval(FROM_CANDLES, name, minutes) == average


def digits(value: object) -> str:
    """All of them: asyncpg makes of 31250000 a Decimal that is written 3.125E+7."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


async def test_the_writer_may_not_change_a_candle(postgres: Database) -> None:
    now = datetime.now(UTC)
    writer = await asyncpg.connect(postgres.dsn("writer"))
    await writer.copy_records_to_table(
        "stock_prices", records=[Tick(now, "A", "NYSE", Decimal(1), 1)]
    )
    for forbidden in (
        "SELECT * FROM candles",
        "UPDATE candles SET count = 0",
        "INSERT INTO candles SELECT * FROM candles",
        "SELECT count_candles()",
        "ALTER TABLE stock_prices DISABLE TRIGGER count_candles",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.execute(forbidden)
    await writer.close()
    assert len(await candles(postgres.connection)) == 2
