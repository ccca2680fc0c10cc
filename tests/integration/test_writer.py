"""What the writer stores, and what it can't: a row for each good entry, else a dead letter."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import PostgresDsn
from redis.asyncio import Redis

from pipeline.outage import Outage
from tests.conftest import Database
from tests.consumers import start_writer
from tests.servers import PostgresServer
from tests.services import StartService
from tests.ticks import (
    Row,
    all_settled,
    append,
    dead_letters,
    entries,
    numbered,
    pending,
    row,
    stored,
)
from writer.store import TickStore

NOT_A_NUMBER = b"price is not a plain decimal number"
NO_COLON = b"no colon between name and price"
BAD = {
    b"": b"empty message",
    b"TSLA": NO_COLON,
    b"TSLA:": b"price is empty",
    b":1": b"name is empty",
    b"TSLA:abc": NOT_A_NUMBER,
    b"TSLA:NaN": NOT_A_NUMBER,
    b"TSLA:Infinity": NOT_A_NUMBER,
    b"TSLA:-5": NOT_A_NUMBER,
    b"TSLA:+5": NOT_A_NUMBER,
    b"TSLA:07": NOT_A_NUMBER,
    b"TSLA:.5": NOT_A_NUMBER,
    b"TSLA:5.": NOT_A_NUMBER,
    b"TSLA:1e400": NOT_A_NUMBER,
    b"TSLA: 5": NOT_A_NUMBER,
    b"TSLA:5\n": NOT_A_NUMBER,
    b"TSLA:\0": NOT_A_NUMBER,
    "TSLA:٥".encode(): NOT_A_NUMBER,  # noqa: RUF001 - a digit, but not one of ours
    b"TSLA:0": b"price is not above zero",
    b"TSLA:0.00": b"price is not above zero",
    b"TSLA:1234567890123456789": b"price has more than 18 digits before or after the point",
    b"TSLA:0.1234567890123456789": b"price has more than 18 digits before or after the point",
    b"A:B:1": b"name contains a colon",
    b"TS\0LA:1": b"name contains white space or an unprintable character",
    b"TS LA:1": b"name contains white space or an unprintable character",
    b"\xff\xfe:1": b"name is not UTF-8",
    b"\xff\xfe": NO_COLON,
    b"N" * 300 + b":1": b"name is longer than 255 characters",
}


@pytest.fixture
async def store(postgres: Database) -> AsyncIterator[TickStore]:
    async with store_in(postgres.server) as store:
        yield store


def store_in(server: PostgresServer) -> TickStore:
    return TickStore(PostgresDsn(server.dsn("writer")))


async def test_a_row_is_the_message_with_the_time_and_identity_of_its_entry(
    store: TickStore, postgres: Database
) -> None:
    rejected = await store.save(
        [
            (b"1763000000000-0", b"NYSE", b"TSLA:723.02"),
            (b"1763000000123-466951", b"NASDAQ", b"BRK.B:1"),
            (b"1763000000999-1023999", b"NYSE", "Société:0.5".encode()),
        ]
    )

    assert rejected == []
    assert await stored(postgres.connection) == [
        Row(1763000000000 << 20, 1763000000000000, "TSLA", "NYSE", "723.02"),
        Row((1763000000123 << 20) + 466951, 1763000000123456, "BRK.B", "NASDAQ", "1"),
        Row((1763000000999 << 20) + 1023999, 1763000000999999, "Société", "NYSE", "0.5"),
    ]


@pytest.mark.parametrize(
    "price",
    ["999999999999999999.999999999999999999", "0.000000000000000001", "723.020", "0.1", "10000000"],
)
async def test_every_digit_is_kept(store: TickStore, postgres: Database, price: str) -> None:
    await store.save(entries([f"TSLA:{price}"]))

    assert [found.price for found in await stored(postgres.connection)] == [price]


async def test_every_bad_message_is_a_dead_letter_and_its_neighbours_are_stored_in_order(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    messages = [each for number, bad in enumerate(BAD, 1) for each in (b"BRK.B:%d" % number, bad)]
    sent = entries([*messages, b"TSLA:1"])
    await append(redis, stream, sent)
    writer = start_writer(service, redis_url, postgres.server, stream, BLOCK=0.2)
    await all_settled(redis, stream, "writer")

    bad = [entry for entry in sent if entry[2] in BAD]
    assert await dead_letters(redis, stream, "writer") == [
        {b"entry": entry_id, b"channel": b"NYSE", b"message": message, b"reason": BAD[message]}
        for entry_id, _, message in bad
    ]
    assert await stored(postgres.connection) == [row(entry) for entry in sent if entry not in bad]
    assert await writer.terminate() == 0
    assert len([event for event in writer.events if event["event"] == "dead_letter"]) == len(BAD)
    assert writer.noise == []


async def test_an_entry_that_the_bridge_did_not_make_is_a_dead_letter_and_its_neighbours_are_stored(
    redis: Redis, postgres: Database, service: StartService, redis_url: str, stream: str
) -> None:
    good = entries(["TSLA:1", "TSLA:2"], first_us=1763000000000000)
    await append(redis, stream, good[:1])
    foreign = await redis.xadd(stream, {"price": "1", "name": "A"}, id=b"1763000000000-1")
    await append(redis, stream, good[1:])
    unpackable = (b"1763000000000-1048576", b"NYSE", b"TSLA:3")
    late = (b"9999999999999-0", b"NYSE", b"TSLA:4")  # beyond 2248
    await append(redis, stream, [unpackable, late])
    start_writer(service, redis_url, postgres.server, stream)
    await all_settled(redis, stream, "writer")

    letters = await dead_letters(redis, stream, "writer")
    unfit = b"entry id was not made by the bridge: it holds no time"
    assert {letter[b"entry"]: (letter[b"message"], letter[b"reason"]) for letter in letters} == {
        foreign: (b"price 1 name A", b"fields are not channel and message"),
        unpackable[0]: (b"TSLA:3", unfit),
        late[0]: (b"TSLA:4", unfit),
    }
    assert await stored(postgres.connection) == [row(entry) for entry in good]


async def test_the_same_batch_again_is_stored_once(store: TickStore, postgres: Database) -> None:
    batch = entries(numbered(3000))
    assert await store.save(batch) == []
    assert await store.save(batch) == []

    assert await stored(postgres.connection) == [row(entry) for entry in batch]


async def test_a_batch_of_which_half_is_there_adds_the_other_half(
    store: TickStore, postgres: Database
) -> None:
    batch = entries(numbered(3000))
    await store.save(batch[::2])
    assert await store.save(batch) == []

    assert await stored(postgres.connection) == [row(entry) for entry in batch]


async def test_two_writers_with_the_same_rows_at_the_same_time_store_them_once(
    store: TickStore, postgres: Database
) -> None:
    batch = entries(numbered(3000))
    async with store_in(postgres.server) as other:
        await asyncio.gather(store.save(batch), other.save(batch))

    assert await stored(postgres.connection) == [row(entry) for entry in batch]


async def test_a_row_that_the_server_refuses_is_found_and_buried_alone(
    redis: Redis, own_postgres: PostgresServer, service: StartService, redis_url: str, stream: str
) -> None:
    connection = await asyncpg.connect(own_postgres.owner_dsn)
    await connection.execute("ALTER TABLE stock_prices ADD CHECK (price < 1000)")
    sent = entries([*numbered(700), "TSLA:1000", *numbered(299)])
    await append(redis, stream, sent)
    start_writer(service, redis_url, own_postgres, stream)
    await all_settled(redis, stream, "writer")

    [letter] = await dead_letters(redis, stream, "writer")
    assert (letter[b"entry"], letter[b"message"]) == (sent[700][0], b"TSLA:1000")
    assert b"violates check constraint" in letter[b"reason"]
    assert b"23514" in letter[b"reason"]
    assert await stored(connection) == [row(entry) for entry in sent[:700] + sent[701:]]
    await connection.close()


async def test_a_batch_refused_row_by_row_is_an_outage_since_no_market_sends_that(
    own_postgres: PostgresServer,
) -> None:
    connection = await asyncpg.connect(own_postgres.owner_dsn)
    await connection.execute("ALTER TABLE stock_prices ADD CONSTRAINT none CHECK (price > 1000)")
    batch = entries(numbered(10))
    async with store_in(own_postgres) as store:
        with pytest.raises(Outage, match="every row was refused"):
            await store.save(batch)
        await connection.execute("ALTER TABLE stock_prices DROP CONSTRAINT none")
        assert await store.save(batch) == []

    assert await stored(connection) == [row(entry) for entry in batch]
    await connection.close()


async def test_a_missing_grant_buries_nothing_and_is_over_once_it_is_there(
    redis: Redis, own_postgres: PostgresServer, service: StartService, redis_url: str, stream: str
) -> None:
    connection = await asyncpg.connect(own_postgres.owner_dsn)
    await connection.execute("REVOKE INSERT ON stock_prices FROM writer")
    sent = entries(["TSLA:1", "no price"])  # one row: what is refused alone would be buried
    await append(redis, stream, sent)
    writer = start_writer(service, redis_url, own_postgres, stream)
    await writer.wait_for("outage", neighbour="postgres", reason=lambda text: "42501" in text)
    assert await dead_letters(redis, stream, "writer") == []
    assert await pending(redis, stream, "writer") == len(sent)

    await connection.execute("GRANT INSERT ON stock_prices TO writer")
    await all_settled(redis, stream, "writer")

    assert await stored(connection) == [row(sent[0])]
    letters = await dead_letters(redis, stream, "writer")
    assert [letter[b"message"] for letter in letters] == [b"no price"]
    await connection.close()
