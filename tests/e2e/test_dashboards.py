"""The dashboards after a real run: what the services said of themselves, stored, asked, shown."""

import os
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson

from local.instance import read_dotenv
from tests.dashboards import Range, queries
from tests.outside import outside
from tests.panels import ask, check, values
from tests.reports import store
from tests.servers import Foreign, PostgresServer, role_passwords
from tests.services import ROOT, Event
from tests.target import Target
from tests.waiting import wait_until

SERVICES = ["generator", "bridge", "forwarder", "writer", "api"]
ENOUGH = 3  # reports: a rate is between two of them
QUIET = {"pipeline: 60 Errors"}  # unless there are some


async def test_after_a_real_run_every_panel_has_something_to_show(system: Target) -> None:
    server = PostgresServer(
        Foreign(), system.owner_dsn, role_passwords(read_dotenv(ROOT / ".env") | os.environ)
    )
    begin = datetime.now(UTC)

    def reported() -> list[Event] | None:
        lines = {service: reports(system, service, begin) for service in SERVICES}
        enough = all(len(each) >= ENOUGH for each in lines.values())
        return [line for each in lines.values() for line in each] if enough else None

    async with outside(system) as there:
        await there.get("/api/stocks")
        lines = await wait_until(reported, 40.0, f"{ENOUGH} reports of each service")
        await there.is_stored(await there.market.position())
    # Where Vector runs it has stored them already, and once is what they are stored.
    await store(server.dsn("vector"), lines or [])

    begin = min(begin, *(datetime.fromtimestamp(line["started_at"], UTC) for line in lines or []))
    seen = Range(begin, datetime.now(UTC) + timedelta(seconds=1), "10s")
    connection = await asyncpg.connect(server.dsn("grafana"))
    wrong = {}
    try:
        variables = await values(connection)
        for query in queries():
            columns, found = await ask(connection, query, seen, variables)
            try:
                if found or query.place not in QUIET:
                    check(query, columns, found, seen)
            except AssertionError as error:
                wrong[query.place] = str(error)
    finally:
        await connection.close()
    assert wrong == {}


def reports(system: Target, service: str, since: datetime) -> list[Event]:
    """Its whole `progress` lines since then."""
    whole, _, _ = system.log_of(service).rpartition("\n")
    lines = [orjson.loads(line) for line in whole.split("\n") if line]
    return [
        line
        for line in lines
        if line.get("event") == "progress" and datetime.fromisoformat(line["at"]) >= since
    ]
