"""metrics_of(): a `progress` line as the rows that Vector makes of it, and which there must be."""

from tests.services import Event, Service

Metric = tuple[str, frozenset[tuple[str, str]]]
"""Name and labels."""

STATS = ("count", "sum", "p50", "p95", "p99", "max")
ENVELOPE = {"at", "service", "instance", "event"}

EVERY_SERVICE = {"errors", "started_at"}
READER = {"handled", "dead_letters", "batches", "lag_entries", "lag_seconds", "age_seconds"}
GAUGES = {"stream_length", "stream_max_entries", "redis_memory_bytes", "redis_memory_limit_bytes"}
FIELDS = {
    "generator": {"published", "unconfirmed"},
    "bridge": {"received", "appended", "refused", "dropped", "trimmed", "overrun", "calls"}
    | {"gaps", "gap_seconds", "lease_changes", "waiting", "append_seconds", "age_seconds"}
    | GAUGES,
    "forwarder": READER | {"publications", "skipped", "publish_seconds"},
    "writer": READER | {"rows", "repeated", "copy_seconds", "flush_rows"},
    "api": {"requests", "request_seconds"},
}
ASKED = GAUGES | {"lag_entries", "lag_seconds"}
"""What only Redis knows: not there while it is away, nor in the last line."""


def metrics_of(progress: Event) -> dict[Metric, float]:
    """Fails for what is no metric, and for two of the same name and labels."""
    found = [row for name in progress.keys() - ENVELOPE for row in _rows(name, progress[name])]
    assert len(found) == len(dict(found))
    return dict(found)


def _rows(name: str, field: object) -> list[tuple[Metric, float]]:
    if field is None:
        return []
    if isinstance(field, dict):
        assert tuple(field) == STATS, name
        return [(metric(name, stat=key), float(v)) for key, v in field.items() if v is not None]
    if isinstance(field, list):
        rows = [({**each}, each["value"]) for each in field]
        for labels, _ in rows:
            del labels["value"]
            assert all(isinstance(each, str) for each in labels.values()), name
        return [(metric(name, **labels), float(value)) for labels, value in rows]
    assert isinstance(field, (int, float)), name
    return [(metric(name), float(field))]


def metric(name: str, **labels: str) -> Metric:
    return name, frozenset(labels.items())


def last_metrics(service: Service) -> dict[Metric, float]:
    """Of the newest line."""
    return metrics_of([each for each in service.events if each["event"] == "progress"][-1])
