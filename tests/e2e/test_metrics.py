"""Metrics of the whole system, each service with its own rights: all that an operator is shown."""

import orjson
import pytest

from tests.metrics import EVERY_SERVICE, FIELDS, metrics_of
from tests.outside import outside
from tests.services import Event
from tests.target import Target
from tests.waiting import wait_until


@pytest.mark.parametrize("service", FIELDS)
async def test_each_service_has_all_its_metrics_in_its_log(system: Target, service: str) -> None:
    fields = FIELDS[service] | EVERY_SERVICE
    async with outside(system) as there:  # the api counts what it is asked
        await there.get("/api/stocks")

        def complete() -> Event | None:
            whole, _, _ = system.log_of(service).rpartition("\n")
            lines = [orjson.loads(line) for line in whole.splitlines()]
            return next((each for each in lines[::-1] if fields <= each.keys()), None)

        line = await wait_until(complete, 20.0, f"{fields} of {service}")
    assert line["service"] == service
    assert {name for name, _ in metrics_of(line)} >= fields - {"errors"}  # which may be none
