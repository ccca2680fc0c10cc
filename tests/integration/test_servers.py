"""The tests' own tools: a server that a test takes away is gone, and comes back as it was."""

import asyncio

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.servers import CentrifugoServer, PostgresServer, RedisServer, centrifugo_answers


async def test_a_killed_redis_refuses_and_comes_back_with_its_stream(
    own_redis: RedisServer,
) -> None:
    async with Redis.from_url(own_redis.url, protocol=2) as redis:
        await redis.xadd("ticks", {"channel": "NYSE", "message": "TSLA:1"})
        await redis.waitaof(1, 0, 5000)
        own_redis.kill()
        with pytest.raises(RedisConnectionError):
            await redis.ping()
        own_redis.start()
        assert await redis.xlen("ticks") == 1


async def test_a_paused_redis_keeps_the_connection_and_answers_later(
    own_redis: RedisServer,
) -> None:
    async with Redis.from_url(own_redis.url, protocol=2, socket_timeout=0.3) as redis:
        await redis.ping()
        own_redis.pause()
        with pytest.raises(RedisTimeoutError):
            await redis.ping()
        own_redis.resume()
        assert await redis.ping()


async def test_a_killed_postgres_comes_back_with_its_rows(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.owner_dsn)
    await connection.execute("INSERT INTO stock_prices VALUES (now(), 'TSLA', 'NYSE', 1, 1)")
    own_postgres.kill()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await asyncpg.connect(own_postgres.owner_dsn, timeout=3)
    connection.terminate()
    own_postgres.start()
    connection = await asyncpg.connect(own_postgres.dsn("api"))
    assert await connection.fetchval("SELECT count(*) FROM stock_prices") == 1
    await connection.close()


async def test_a_paused_postgres_answers_nobody(own_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(own_postgres.dsn("writer"))
    own_postgres.pause()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await connection.fetchval("SELECT 1")
    own_postgres.resume()
    connection.terminate()


async def test_a_killed_centrifugo_comes_back(own_centrifugo: CentrifugoServer) -> None:
    own_centrifugo.kill()
    port = int(own_centrifugo.api_url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(OSError, match="refused"):
        centrifugo_answers(port)
    own_centrifugo.start()
    assert centrifugo_answers(port)
