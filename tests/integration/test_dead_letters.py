"""python -m writer --dead-letters: what a person sees, and what becomes of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from pipeline.dead_letters import PAGE, DeadLetters
from tests.conftest import Database
from tests.consuming import stream_settings
from tests.servers import PostgresServer
from tests.services import Service, StartService
from tests.ticks import append, dead_letters, entries, numbered, row, stored

NOBODY = "redis://127.0.0.1:1/0"
GOOD, BAD, GONE = "now it is good", "no colon between name and price", "killed its reader"

Tool = Callable[..., Awaitable[tuple[int, list[str]]]]


@pytest.fixture
def tool(
    service: StartService, redis_url: str, postgres: Database, stream: str
) -> Callable[..., Awaitable[tuple[int, list[str]]]]:
    """tool("writer", "--store"): the exit code, and the lines on the screen."""
    own = {"POSTGRES_DSN": postgres.dsn("writer")}
    other = {"CENTRIFUGO_API_URL": "http://127.0.0.1:1/api", "CENTRIFUGO_API_KEY": "key"}

    async def run(name: str, *options: str, **more: str) -> tuple[int, list[str]]:
        environment = {"REDIS_URL": redis_url, "STREAM": stream} | own | other | more
        done: Service = service(name, "--dead-letters", *options, **environment)
        return await done.exit_code(), done.noise

    return run


async def bury(redis: Any, url: str, stream: str, group: str, reasons: dict[str, str]) -> Any:
    """A letter for each message, as a consumer writes it: after the entry was delivered."""
    sent = entries(reasons)
    await append(redis, stream, sent)
    await redis.xgroup_create(stream, group, id="0")
    await redis.xreadgroup(group, "one", {stream: ">"}, count=len(sent))
    letters = DeadLetters(redis, group, stream_settings(url, stream))
    for entry in sent:
        await letters.bury(entry, reasons[entry[2].decode()])
    return sent


async def test_a_list_says_what_which_and_why_and_no_control_character(
    redis: Any, redis_url: str, stream: str, tool: Tool
) -> None:
    long = "x" * 200
    reasons = {"TSLA:1": GOOD, "\x1b[2J": BAD, long: "two\nlines"}
    sent = await bury(redis, redis_url, stream, "writer", reasons)
    [(first, _), *_rest] = await redis.xrange(f"{{{stream}}}:dead:writer")

    code, lines = await tool("writer")
    assert code == 0
    head, *letters, count = lines
    assert (head.split(), count) == (
        ["ID", "ENTRY", "REASON", "CHANNEL", "MESSAGE"],
        "3 dead letters",
    )
    columns = [*first.decode().split(), sent[0][0].decode(), *GOOD.split(), "NYSE", "'TSLA:1'"]
    assert letters[0].split() == columns
    assert letters[1].endswith(r" NYSE '\x1b[2J'")
    assert r"two\nlines" in letters[2]
    assert letters[2].endswith(f"'{'x' * 79}…")

    assert (await tool("writer", "--reason", "COLON"))[1][1:] == [letters[1], "1 dead letter"]
    assert (await tool("writer", "--id", first.decode()))[1][1:] == [letters[0], "1 dead letter"]
    whole = (await tool("writer", "--id", sent[2][0].decode()))[1][1]
    assert whole.endswith(f"'{long}'")
    assert await tool("writer", "--id", "1-1") == (0, ["0 dead letters"])
    assert len(await dead_letters(redis, stream, "writer")) == 3


async def test_what_parses_now_is_stored_once_and_removed_and_the_rest_stays(
    redis: Any, redis_url: str, stream: str, postgres: Database, tool: Tool
) -> None:
    good = dict.fromkeys(numbered(PAGE + 10), GOOD)
    sent = await bury(redis, redis_url, stream, "writer", good | {"none": BAD, "NFLX:1": GONE})
    key = f"{{{stream}}}:dead:writer"
    fields = {"channel": "NYSE", "message": "NFLX:1", "reason": GONE}
    await redis.xadd(key, fields)  # somebody else's: of no entry

    code, lines = await tool("writer", "--store", "--reason", "reader")
    assert (code, lines) == (0, ["1 dead letter stored and removed, 1 of no use still"])
    await redis.xadd(key, {"entry": sent[-1][0]} | fields)  # as if it had ended in between
    code, lines = await tool("writer", "--store")

    assert code == 0
    assert lines[-1] == f"{PAGE + 11:,} dead letters stored and removed, 2 of no use still"
    assert await stored(postgres.connection) == [row(e) for e in sent if e[2] != b"none"]
    assert [each[b"reason"] for each in await dead_letters(redis, stream, "writer")] == [
        BAD.encode(),
        GONE.encode(),
    ]
    assert await redis.xlen(stream) == len(sent)  # nothing is put back


async def test_rows_that_the_server_refused_are_tried_one_by_one(
    redis: Any, redis_url: str, stream: str, own_postgres: PostgresServer, tool: Tool
) -> None:
    connection = await asyncpg.connect(own_postgres.owner_dsn)
    await connection.execute("ALTER TABLE stock_prices ADD CONSTRAINT low CHECK (price < 1)")
    sent = await bury(redis, redis_url, stream, "writer", dict.fromkeys(numbered(2), "refused"))
    where = {"POSTGRES_DSN": own_postgres.dsn("writer")}

    code, lines = await tool("writer", "--store", **where)
    assert (code, lines[-1]) == (0, "0 dead letters stored and removed, 2 of no use still")
    await connection.execute("ALTER TABLE stock_prices DROP CONSTRAINT low")
    code, lines = await tool("writer", "--store", **where)
    assert (code, lines[-1]) == (0, "2 dead letters stored and removed, 0 of no use still")

    assert await stored(connection) == [row(entry) for entry in sent]
    await connection.close()


@pytest.mark.parametrize("group", ["writer", "forwarder"])
async def test_what_is_dropped_is_gone(
    redis: Any, redis_url: str, stream: str, tool: Tool, group: str
) -> None:
    await bury(redis, redis_url, stream, group, {"a": BAD, "b": GONE, "c": BAD})

    assert await tool(group, "--drop", "--reason", BAD) == (0, ["2 dead letters removed"])
    assert (await tool(group))[1][-1] == "1 dead letter"
    assert await tool(group, "--drop") == (0, ["1 dead letter removed"])
    assert await tool(group) == (0, ["0 dead letters"])


async def test_a_server_that_is_away_is_said_and_nothing_is_removed(
    redis: Any, redis_url: str, stream: str, tool: Tool
) -> None:
    await bury(redis, redis_url, stream, "writer", {"TSLA:1": GOOD})
    away = NOBODY.replace("redis", "postgresql")

    code, [line] = await tool("writer", "--store", POSTGRES_DSN=away)
    assert (code, line[:10]) == (1, "postgres: ")
    code, [line] = await tool("writer", REDIS_URL=NOBODY)
    assert (code, line[:7]) == (1, "redis: ")
    assert len(await dead_letters(redis, stream, "writer")) == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("writer", ["--drop"]),
        ("writer", ["--dead-letters", "--drop", "--id", ""]),  # of a variable that isn't set
        ("forwarder", ["--dead-letters", "--drop", "--reason", ""]),
        ("writer", ["--dead-letters", "--store", "--drop"]),
        ("forwarder", ["--dead-letters", "--store"]),  # prices of then are no news
    ],
)
async def test_options_that_make_no_sense_are_refused(
    service: StartService, name: str, options: list[str]
) -> None:
    process = service(name, *options, REDIS_URL=NOBODY)
    assert await process.exit_code() == 2
    assert process.noise[0].startswith(f"usage: python -m {name}")
