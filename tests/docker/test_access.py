"""Whoever got into a container could do that service's work and no more."""

import os
import re
import subprocess
from contextlib import suppress

import aiohttp
import asyncpg
import pytest

from tests.docker.cli import DockerFailed, docker
from tests.docker.stack import Stack
from tests.looking import look
from tests.outside import Outside
from tests.waiting import wait_until

WHERE_IS_THE_CURSOR, CURSOR = "\x1b[6n", b"\x1b[1;80R"  # what a terminal is asked, and answers


def _reading(group: str) -> list[str]:
    return [
        f"XREADGROUP GROUP {group} one STREAMS ticks >",
        f"XACK ticks {group} 1-1",
        f"XPENDING ticks {group}",
        f"XINFO CONSUMERS ticks {group}",
        f"XCLAIM ticks {group} one 0 1-1 JUSTID",
        f"XGROUP DELCONSUMER ticks {group} two",
        *_reading_letters(group),
    ]


def _reading_letters(group: str) -> list[str]:
    """And what else has the group's name in its key."""
    return [
        f"SET {{ticks}}:alive:{group}:one token PX 15000",
        f"DEL {{ticks}}:alive:{group}:one",
        f"EXISTS {{ticks}}:alive:{group}:two",
        f"HSET {{ticks}}:suspect:{group} 1-1 token",
        f"HDEL {{ticks}}:suspect:{group} 1-1",
        f"XRANGE {{ticks}}:dead:{group} - +",
        f"XADD {{ticks}}:dead:{group} * reason text",
        f"XDEL {{ticks}}:dead:{group} 1-1",
    ]


MAY = {
    "default": ["PING", "SUBSCRIBE NYSE NASDAQ"],
    "generator": ["PUBLISH NYSE TSLA:1"],
    "bridge": [
        "SUBSCRIBE NYSE NASDAQ",
        "XADD ticks 1-1 channel NYSE message TSLA:1",
        "INFO memory",
        "XGROUP SETID ticks nobody 0 ENTRIESREAD 0",
        "HINCRBY {ticks}:overrun nobody 0",
    ],
    "forwarder": _reading("forwarder"),
    "writer": _reading("writer"),
    "api": ["XINFO STREAM ticks", "XPENDING ticks writer", "HGETALL {ticks}:overrun"],
}
NO_READER = [
    *("DEL ticks", "SET ticks 1", "XTRIM ticks MAXLEN 0", "XDEL ticks 1-1", "XADD ticks * a b"),
    *("DEL {ticks}:lease", "GET {ticks}:lease", "SET {ticks}:lease 1", "XRANGE {ticks}:gaps - +"),
    *("PUBLISH NYSE TSLA:1", "XGROUP DESTROY ticks writer", "XGROUP SETID ticks writer 0"),
]
MAY_NOT = {
    "default": [
        "XLEN ticks",
        "PUBLISH NYSE TSLA:1",
        "SUBSCRIBE OTHER",
        "PSUBSCRIBE *",
        "ACL WHOAMI",
    ],
    "generator": ["PUBLISH OTHER TSLA:1", "XLEN ticks", "SUBSCRIBE NYSE", "XADD ticks * a b"],
    "bridge": ["PUBLISH NYSE TSLA:1", "XREADGROUP GROUP writer one STREAMS ticks >"],
    "forwarder": [*NO_READER, *_reading_letters("writer"), *_reading_letters("bridge")],
    "writer": [*NO_READER, *_reading_letters("forwarder"), *_reading_letters("bridge")],
    "api": ["XADD ticks * a b", "XACK ticks writer 1-1", "DEL ticks", "SUBSCRIBE NYSE"],
}
NOBODY = [
    "GET other",
    "SET other 1",
    "XADD other * a b",
    "KEYS *",
    "SCAN 0",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET requirepass",
    "ACL LIST",
    "SCRIPT FLUSH",
    "CLIENT LIST",
    "MONITOR",
    "SHUTDOWN",
    "DEBUG JMAP",
    "MIGRATE elsewhere 6379 ticks 0 1000",
    "REPLICAOF elsewhere 6379",
]

REFUSED = [
    ("api", "INSERT INTO stock_prices VALUES (now(), 'E2E-NO', 'NYSE', 1, 1)"),
    ("api", "DELETE FROM stock_prices"),
    ("writer", "DELETE FROM stock_prices"),
    ("writer", "UPDATE stock_prices SET price = 1"),
    ("writer", "TRUNCATE stock_prices"),
    ("writer", "DROP TABLE stock_prices"),
    ("vector", "SELECT * FROM stock_prices"),
    ("grafana", "DELETE FROM stock_prices"),
    ("grafana", "INSERT INTO stock_prices VALUES (now(), 'E2E-NO', 'NYSE', 1, 1)"),
    *[(role, "CREATE TABLE mine (a int)") for role in ("writer", "api", "vector", "grafana")],
    *[(role, "SELECT * FROM pg_authid") for role in ("writer", "api", "vector", "grafana")],
    *[(role, "COPY (SELECT 1) TO PROGRAM 'true'") for role in ("writer", "api")],
]


async def test_each_redis_user_may_do_its_work_and_nothing_else(stack: Stack) -> None:
    async with look(stack.redis_url) as redis:

        async def may(user: str, command: str) -> bool:
            return bool(
                await redis.execute_command("ACL", "DRYRUN", user, *command.split()) == b"OK"
            )

        granted = {(user, c) for user, work in MAY.items() for c in work if await may(user, c)}
        assert granted == {(user, c) for user, work in MAY.items() for c in work}
        others = [(user, c) for user, work in MAY_NOT.items() for c in (*work, *NOBODY)]
        assert not [(user, c) for user, c in others if await may(user, c)]
        assert set(await redis.execute_command("ACL", "USERS")) == {
            name.encode() for name in (*MAY, "operator")
        }


def test_who_gives_no_name_to_redis_is_refused_all_but_the_prices(stack: Stack) -> None:
    redis = stack.one("redis").id
    assert docker("exec", redis, "redis-cli", "ping").strip() == "PONG"
    assert docker("exec", redis, "redis-cli", "xlen", "ticks").startswith("NOPERM")
    with pytest.raises(DockerFailed, match="NOPERM"):
        docker("exec", redis, "redis-cli", "-e", "flushall")


async def test_prices_show_in_redis_cli_as_the_task_describes_it(stack: Stack) -> None:
    """`docker exec -it REDIS redis-cli`, then SUBSCRIBE NYSE, at a terminal."""
    ours, theirs = os.openpty()
    line = ["docker", "exec", "-it", stack.one("redis").id, "redis-cli"]
    process = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs)  # noqa: ASYNC220, S603  # our own words, ended below
    os.close(theirs)
    os.set_blocking(ours, False)
    screen = ""

    def shown(pattern: str) -> bool:
        nonlocal screen
        with suppress(BlockingIOError):
            new = os.read(ours, 4096).decode(errors="replace")
            screen += new
            os.write(ours, CURSOR * new.count(WHERE_IS_THE_CURSOR))
        return bool(re.search(pattern, screen))

    try:
        await wait_until(lambda: shown("6379> "), what="the prompt of redis-cli")
        os.write(ours, b"SUBSCRIBE NYSE\r")
        await wait_until(lambda: shown(r'"(TSLA|NFLX|DIS):\d+\.\d\d"'), what="a price")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert re.search(r'1\) "message"\s+2\) "NYSE"\s+3\) "[A-Z]+:\d+\.\d\d"', screen)


@pytest.mark.parametrize(("role", "statement"), REFUSED)
async def test_no_postgres_role_may_more_than_its_work(
    stack: Stack, role: str, statement: str
) -> None:
    connection = await asyncpg.connect(stack.postgres_dsn_of(role))
    try:
        await connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("key", [None, "wrong", "right"])
async def test_centrifugos_api_wants_its_key(stack: Stack, key: str | None) -> None:
    known = {"right": stack.settings["CENTRIFUGO_API_KEY"]}
    headers = {"X-API-Key": known.get(key, key)} if key else {}
    url = f"http://{stack.address('centrifugo')}:9000/api/info"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json={}, headers=headers) as answer,
    ):
        assert answer.status == (200 if key == "right" else 401)


@pytest.mark.parametrize(
    "path", ["/api/info", "/api/publish", "/metrics", "/health", "/admin", "/debug/pprof/"]
)
async def test_what_centrifugo_has_beside_the_feed_is_not_on_the_open_port(
    stack: Stack, outside: Outside, path: str
) -> None:
    headers = {"X-API-Key": stack.settings["CENTRIFUGO_API_KEY"]}
    async with outside.http.post(path, json={}, headers=headers) as answer:
        assert answer.status in {404, 405}
    feed = f"http://{stack.address('centrifugo', 'edge')}:8000"
    async with outside.http.post(f"{feed}{path}", json={}, headers=headers) as answer:
        assert answer.status == 404
