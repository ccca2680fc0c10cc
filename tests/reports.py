"""Reports: what services say of themselves every five seconds, as rows that Vector brings."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.metric_rows import insert, points

EVERY = timedelta(seconds=5)
TICKS_A_SECOND = 48


def latency(count: int, each: float) -> dict[str, float]:
    """After `count` effects of `each` seconds."""
    return {
        "count": count,
        "sum": count * each,
        "p50": each,
        "p95": each * 2,
        "p99": each * 3,
        "max": each * 4,
    }


def rows(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What Vector makes of a `progress` event."""
    common = {name: report[name] for name in ("at", "service", "instance")}
    for name, value, labels in points(report):
        yield {**common, "name": name, "value": value, "labels": json.loads(labels)}


@dataclass
class Process:
    """One process of a service: what it reports is its fields at that moment."""

    service: str
    instance: str
    started: datetime
    fields: dict[str, Any] = field(default_factory=dict)

    def report(self, at: datetime, **changed: Any) -> dict[str, Any]:
        self.fields |= changed
        return {
            "at": at.isoformat(),
            "service": self.service,
            "instance": self.instance,
            "event": "progress",
            "started_at": self.started.timestamp(),
            "errors": [],
            **self.fields,
        }


async def store(dsn: str, reports: Sequence[dict[str, Any]]) -> None:
    """As Vector does it, under its role."""
    await insert(dsn, [row for report in reports for row in rows(report)])


def everybody(begin: datetime, at: datetime, **wrong: dict[str, Any]) -> list[dict[str, Any]]:
    """One report of each service that has been well since `begin`; `wrong` says what isn't."""
    passed = int((at - begin).total_seconds())
    fields = _bridge_and_before(passed) | _behind_the_stream(passed)
    return [
        Process(name, f"{name}-0", begin, said).report(at, **wrong.get(name, {}))
        for name, said in fields.items()
    ]


def _bridge_and_before(passed: int) -> dict[str, dict[str, Any]]:
    ticks = passed * TICKS_A_SECOND
    came = {"received": ticks, "appended": ticks, "refused": 0, "dropped": 0, "trimmed": ticks}
    trouble: dict[str, Any] = {"gaps": 0, "gap_seconds": 0, "lease_changes": 1, "waiting": 0}
    trouble["overrun"] = [{"group": group, "value": 0} for group in ("forwarder", "writer")]
    redis = {"stream_length": 300, "redis_memory_bytes": 2**24, "redis_memory_limit_bytes": 2**31}
    redis["stream_max_entries"] = 5_000_000
    took = {"append_seconds": latency(passed, 0.001), "age_seconds": latency(ticks, 0.002)}
    return {
        "generator": {"published": ticks, "unconfirmed": 0},
        "bridge": {"calls": passed, **came, **trouble, **redis, **took},
    }


def _behind_the_stream(passed: int) -> dict[str, dict[str, Any]]:
    ticks = passed * TICKS_A_SECOND
    group = {"handled": ticks, "dead_letters": 0, "batches": passed, "lag_entries": 5}
    published = {"publications": passed * 20, "skipped": 0, "lag_seconds": 0.01}
    written = {"rows": ticks, "repeated": 0, "lag_seconds": 2.5}
    flushes = {"copy_seconds": latency(passed, 0.01), "flush_rows": latency(passed, 240)}
    asked = {"route": "/api/stocks", "method": "GET", "status": "200", "value": passed}
    return {
        "forwarder": {
            **group,
            **published,
            "publish_seconds": latency(passed, 0.002),
            "age_seconds": latency(ticks, 0.004),
        },
        "writer": {**group, **written, **flushes, "age_seconds": latency(ticks, 2.5)},
        "api": {
            "requests": [asked],
            "request_seconds": [{"route": "/api/stocks", "stat": "p99", "value": 0.004}],
        },
    }
