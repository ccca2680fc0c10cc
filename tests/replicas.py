"""Pair: a PostgreSQL and its streaming replica, and which of the two was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.api_process import Api, owner_runs, running_api
from tests.servers import PostgresServer
from tests.services import StartService
from tests.waiting import wait_until

QUESTIONS = """
SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements
WHERE userid = 'api'::regrole AND query LIKE '%string_agg(line%'
"""
BUSY = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'api' AND wait_event_type = 'Lock'"


@dataclass(frozen=True)
class Pair:
    """Whoever is killed or paused in a test is back at its end."""

    primary: PostgresServer
    replica: PostgresServer

    async def asked(self) -> tuple[int, int]:
        """How many pages of prices the primary and the replica were asked for."""
        return await owner_runs(self.primary, QUESTIONS), await owner_runs(self.replica, QUESTIONS)

    async def replica_answers(self, api: Api, address: str) -> bool:
        """Ask once: was it the replica that answered, and it alone?"""
        before = await self.asked()
        answer = await api.get(address)
        assert answer.status == 200, answer.body
        primary, replica = await self.asked()
        return (primary, replica > before[1]) == (before[0], True)

    async def pause_replay(self) -> None:
        await owner_runs(self.replica, "SELECT pg_wal_replay_pause()")
        state = "SELECT pg_get_wal_replay_pause_state()"

        async def is_paused() -> bool:
            return bool(await owner_runs(self.replica, state) == "paused")

        await wait_until(is_paused)

    async def resume_replay(self) -> None:
        await owner_runs(self.replica, "SELECT pg_wal_replay_resume()")


@asynccontextmanager
async def reading_from(pair: Pair, service: StartService, **more: object) -> AsyncIterator[Api]:
    """An api that uses both, once it does."""
    addresses = {
        "POSTGRES_DSN": pair.primary.dsn("api"),
        "POSTGRES_READ_DSN": pair.replica.dsn("api"),
    }
    async with running_api(service, **(addresses | more)) as api:
        await replica_is(api, "ok")
        yield api


async def replica_is(api: Api, state: str, limit: float = 20.0) -> None:
    async def said() -> bool:
        return bool((await status_of_replica(api))["state"] == state)

    await wait_until(said, limit, f"the replica is {state}")


async def status_of_replica(api: Api) -> Any:
    return (await api.get("/api/status")).json["replica"]


async def waiting(server: PostgresServer) -> bool:
    """Does a question of the api wait for a lock there?"""
    return bool(await owner_runs(server, BUSY))
