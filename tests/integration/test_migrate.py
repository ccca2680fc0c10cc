"""migrate: each step once, whoever comes and when, also on a volume of the previous release."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from migrate import schema
from tests.candles import candles, expected
from tests.databases import PREVIOUS, empty_database, new_database, previous_release, upgrade
from tests.expected import Tick
from tests.servers import PostgresServer
from tests.services import StartService

NOW = datetime.now(UTC).replace(microsecond=123456)
STEPS = "SELECT name, applied_at FROM migrations ORDER BY name"
DAYS = """
SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = 'stock_prices'::regclass ORDER BY relname
"""
COUNTED = "SELECT tableoid::regclass::text, count(*) FROM stock_prices GROUP BY 1"


def tick(when: datetime, number: int, stock_name: str = "TSLA") -> Tick:
    return Tick(when, stock_name, "NYSE", Decimal(number) / 100, number)


def day(ahead: int) -> str:
    return f"stock_prices_{NOW + timedelta(days=ahead):%Y%m%d}"


async def test_a_second_run_changes_nothing(shared_postgres: PostgresServer) -> None:
    async with new_database(shared_postgres) as database:
        owner = await asyncpg.connect(database.owner_dsn)
        before = await owner.fetch(STEPS)
        await upgrade(database)
        assert await owner.fetch(STEPS) == before
        assert [row["name"] for row in before] == list(schema.steps())
        await owner.close()


async def test_two_runs_at_once_take_turns(shared_postgres: PostgresServer) -> None:
    async with empty_database(shared_postgres) as database:
        await asyncio.gather(*(upgrade(database) for _ in range(3)))
        owner = await asyncpg.connect(database.owner_dsn)
        assert [row["name"] for row in await owner.fetch(STEPS)] == list(schema.steps())
        await owner.close()


async def test_the_previous_release_keeps_its_ticks_and_gets_candles_and_days(
    shared_postgres: PostgresServer,
) -> None:
    ages = [timedelta(days=40), timedelta(days=1), *(timedelta(seconds=s) for s in range(100))]
    ticks = [tick(NOW - age, n, f"S{n % 3}") for n, age in enumerate(ages, 1)]
    ahead = tick(NOW + timedelta(days=1), 1000)  # of a clock that is ahead
    async with previous_release(shared_postgres) as database:
        owner = await asyncpg.connect(database.owner_dsn)
        await owner.copy_records_to_table("stock_prices", records=[*ticks, ahead])
        await upgrade(database)

        rows = await owner.fetch("SELECT * FROM stock_prices ORDER BY event_id")
        assert [Tick(*row) for row in rows] == [*ticks, ahead]
        assert await candles(owner) == expected([*ticks, ahead])
        partitions = [row["relname"] for row in await owner.fetch(DAYS)]
        assert partitions == [*map(day, range(4)), "stock_prices_default"]
        counted = await owner.fetch(COUNTED)
        assert dict(map(tuple, counted)) == {day(0): len(ticks), day(1): 1}
        await owner.close()

        writer = await asyncpg.connect(database.dsn("writer"))
        await writer.copy_records_to_table("stock_prices", records=[tick(NOW, 2000)])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writer.copy_records_to_table(day(0), records=[tick(NOW, 2001)])
        await writer.close()


async def test_an_empty_volume_of_the_previous_release_is_like_a_new_one(
    shared_postgres: PostgresServer,
) -> None:
    async with previous_release(shared_postgres) as old, new_database(shared_postgres) as new:
        await upgrade(old)
        for database in (old, new):
            owner = await asyncpg.connect(database.owner_dsn)
            assert [row["relname"] for row in await owner.fetch(DAYS)] == [
                *map(day, range(4)),
                "stock_prices_default",
            ]
            await owner.close()


async def test_a_step_that_fails_leaves_nothing_and_those_before_it_stay(
    shared_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = schema.steps() | {"999_wrong": "CREATE TABLE half (); SELECT 1/0"}
    monkeypatch.setattr(schema, "steps", lambda: steps)
    async with empty_database(shared_postgres) as database:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await upgrade(database)
        owner = await asyncpg.connect(database.owner_dsn)
        assert await owner.fetchval("SELECT to_regclass('half')") is None
        assert len(await owner.fetch(STEPS)) == len(steps) - 1 > PREVIOUS
        await owner.close()


async def test_a_password_that_can_not_be_set_is_in_no_message(
    shared_postgres: PostgresServer,
) -> None:
    owner = await asyncpg.connect(shared_postgres.owner_dsn)
    with pytest.raises(asyncpg.UndefinedObjectError, match="the password of nobody") as raised:
        await owner.execute("SELECT set_password($1, $2)", "nobody", "secret-of-nobody")
    await owner.close()
    assert "secret-of-nobody" not in str(vars(raised.value))


async def test_a_stop_before_the_schema_is_there_is_no_success(service: StartService) -> None:
    """Others start when it ends with 0."""
    roles = ("WRITER", "API", "VECTOR", "GRAFANA")
    passwords = {f"POSTGRES_{role}_PASSWORD": "secret" for role in roles}
    process = service("migrate", POSTGRES_DSN="postgresql://pipeline@127.0.0.1:1/it", **passwords)
    await process.wait_for("outage", neighbour="postgres")
    assert await process.terminate() == 1
    assert process.find("service.stopped", unfinished=True)
    assert not process.find("service.crashed")


async def test_it_waits_for_postgres_and_each_run_sets_the_passwords(
    own_postgres: PostgresServer, service: StartService
) -> None:
    anew = {role: f"a '{role}'\\" for role in own_postgres.passwords}
    passwords = {f"POSTGRES_{role.upper()}_PASSWORD": anew[role] for role in anew}
    own_postgres.kill()
    process = service("migrate", POSTGRES_DSN=own_postgres.owner_dsn, **passwords)
    await process.wait_for("outage", neighbour="postgres")
    own_postgres.start()
    assert await process.exit_code() == 0

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own_postgres.dsn("writer"))
    server = PostgresServer(own_postgres.runner, own_postgres.owner_dsn, anew)
    for role in anew:
        await (await asyncpg.connect(server.dsn(role))).close()

    del passwords["POSTGRES_REPLICA_PASSWORD"]  # so nobody is that role any more
    process = service("migrate", POSTGRES_DSN=own_postgres.owner_dsn, **passwords)
    assert await process.exit_code() == 0
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.dsn("replica"))
