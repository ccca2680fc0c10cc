"""What Vector makes of the services' lines, by its own compiler, and of what is none of theirs."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.conftest import Database
from tests.metric_rows import DATED, GARBAGE, insert, points, stored
from tests.servers import CentrifugoServer
from tests.services import Event, StartService
from tests.vrl import program, rows, run

LINE: dict[str, Any] = {
    "at": datetime.now(UTC).isoformat(),
    "service": "writer",
    "instance": "a",
    "event": "progress",
    "rows": 7,
    "lag_seconds": 0.25,
    "lag_entries": None,
    "below_zero": -3,
    "copy_seconds": {"count": 2, "sum": 0.5, "p50": 0.25, "p95": None, "max": None},
    "requests": [
        {"route": "/api/stocks", "method": "GET", "status": "200", "value": 3},
        {"route": "/api/status", "method": "GET", "status": "503", "value": 0},
    ],
    "errors": [],
}


async def test_each_number_becomes_a_row_with_its_labels(postgres: Database) -> None:
    assert await through(postgres, [LINE]) == set(points(LINE))
    assert len(set(points(LINE))) == 8


@pytest.mark.timeout(180)
async def test_each_number_that_the_services_report_is_stored(
    postgres: Database,
    redis_url: str,
    stream: str,
    centrifugo: CentrifugoServer,
    service: StartService,
) -> None:
    lines = await reported(service, redis_url, stream, postgres, centrifugo)
    assert {line["service"] for line in lines} >= {"generator", "bridge", "forwarder", "writer"}
    for line in lines:
        assert await through(postgres, [line]) == set(points(line))
        assert set(points(line)), line


def test_lines_that_report_nothing_are_ours_and_become_no_row() -> None:
    started = LINE | {"event": "service.started", "pid": 5}
    crashed = LINE | {"event": "service.crashed", "trace": "Traceback\n  …", "errors": [5]}
    assert rows([orjson.dumps(line).decode() for line in (started, crashed)]) == [[], []]


@pytest.mark.parametrize("fault", GARBAGE)
def test_a_line_that_is_none_of_ours_is_refused(fault: str) -> None:
    good = orjson.dumps(LINE).decode()
    first, refused, last = rows([good, GARBAGE[fault], good])
    assert refused is None
    assert first == last != []


@pytest.mark.parametrize(
    "value",
    [
        *('"5"', '"NaN"', '"Infinity"', "true", "null", "{}", "[]", "[5]", "[[5]]", "[null]"),
        *('{"p50":"1"}', '{"p50":{"p50":1}}', '{"p50":[1]}', '[{"kind":"a"}]', '[{"value":"1"}]'),
        '[{"kind":"a","value":null}]',
        "[" * 40 + "]" * 40,
    ],
)
def test_a_field_of_another_type_is_no_row_and_takes_nothing_with_it(value: str) -> None:
    [made] = rows([f'{{{DATED},"before":1,"odd":{value},"rows":2}}'])
    assert made
    assert {row["name"]: row["value"] for row in made} == {"before": 1, "rows": 2}


def test_labels_are_text_and_nothing_else() -> None:
    [made] = rows([f'{{{DATED},"errors":[{{"kind":"a","code":5,"more":{{}},"value":1}}]}}'])
    assert made
    assert [row["labels"] for row in made] == [{"kind": "a"}]


async def test_a_clock_that_steps_back_costs_no_row(postgres: Database) -> None:
    now = datetime.now(UTC)
    moments = [now, now - timedelta(hours=3), now + timedelta(seconds=5)]
    lines = [LINE | {"at": moment.isoformat(), "rows": n} for n, moment in enumerate(moments)]
    assert {(n, v) for n, v, _ in await through(postgres, lines) if n == "rows"} == {
        ("rows", 0),
        ("rows", 1),
        ("rows", 2),
    }


async def test_a_line_that_comes_twice_is_stored_once(postgres: Database) -> None:
    await through(postgres, [LINE, LINE])
    await insert(postgres.dsn("vector"), made_of([LINE]))
    assert await postgres.connection.fetchval("SELECT count(*) FROM pipeline_metrics") == 8


def test_a_refused_line_is_told_by_where_it_came_from_and_shortened() -> None:
    events = [
        {"message": "x" * 1_000_000, "container_name": "writer-1", "host": "v"},
        {"message": "é" * 300, "file": "/logs/writer.log", "host": "v"},
        {"message": 5, "host": "v"},
    ]
    made = run(program("refused"), events)
    assert [each["from"] for each in made] == ["writer-1", "/logs/writer.log", "unknown"]
    assert [each["line"] for each in made] == ["x" * 200, "é" * 200, "5"]


async def through(postgres: Database, lines: list[Event]) -> set[tuple[str, float, str]]:
    """What is in the table after Vector's program and the sink's SQL have had these lines."""
    await postgres.connection.execute("TRUNCATE pipeline_metrics")
    await insert(postgres.dsn("vector"), made_of(lines))
    return await stored(postgres.connection, lines[0]["instance"])


def made_of(lines: list[Event]) -> list[dict[str, Any]]:
    return [
        row for each in rows([orjson.dumps(line).decode() for line in lines]) for row in each or []
    ]


async def reported(
    service: StartService,
    redis_url: str,
    stream: str,
    postgres: Database,
    centrifugo: CentrifugoServer,
) -> list[Event]:
    """The last progress line of each service, after some ticks have gone all the way."""
    shared = {"REDIS_URL": redis_url, "STREAM": stream}
    started = [
        service("bridge", **shared),
        service("writer", **shared, POSTGRES_DSN=postgres.dsn("writer"), FLUSH_INTERVAL=0.2),
        service(
            "forwarder",
            **shared,
            CENTRIFUGO_API_URL=centrifugo.api_url,
            CENTRIFUGO_API_KEY=centrifugo.api_key,
        ),
    ]
    await started[0].wait_for("bridge.subscribed")
    started.insert(0, service("generator", REDIS_URL=redis_url, GENERATOR_HZ=10))
    await asyncio.gather(*(each.wait_for("progress", 20) for each in started))
    for each in started:
        assert await each.terminate() == 0
    return [[e for e in each.events if e["event"] == "progress"][-1] for each in started]
