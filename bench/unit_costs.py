"""UnitCosts: what a message takes of everything, by docs/bench.json; medians of its runs."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.report import RECORD

PROCESSES = ("redis", "bridge", "forwarder", "centrifugo", "writer", "postgres")
KEPT = "redis, bytes kept"
LOGGED = ("redis's log, bytes appended", "redis's log, bytes read by both")
WIRES = {
    "into Redis": "redis, bytes published and appended",
    "out of it to a bridge": "redis, bytes to the bridge",
    "out of it to both groups": "redis, bytes to both groups",
    "to a page": "to a browser, bytes",
}
ROWS = ("table, bytes a row", "index, bytes a row")


@dataclass(frozen=True)
class UnitCosts:
    """µs of CPU and bytes, each of one message."""

    cpu: dict[str, float]  # µs by process, on the whole path at the highest rate that it sustained
    redis_shares: dict[str, float]  # of Redis's µs, by whom they are for
    kept: float  # bytes in Redis's memory
    redis_log: float
    row: float  # bytes of table and index
    postgres_log: float
    wires: dict[str, float]  # bytes by hop

    @property
    def shard_limit(self) -> float:
        """Messages a second that fill one core by Redis."""
        return 1e6 / self.cpu["redis"]


def read(path: Path = RECORD) -> UnitCosts:
    """Raises LookupError naming the bench that has to be recorded first."""
    record = orjson.loads(path.read_bytes())

    def median(stage: str, figure: str) -> float:
        try:
            return float(statistics.median(record[stage]["figures"][figure]))
        except KeyError:
            command = f"make bench ARGS='{stage} --result {path}'"
            raise LookupError(f"{path} has no {figure!r} of {stage}: {command}") from None

    users = ("bridge", "forwarder", "writer")
    alone = {name: median(name, "redis, µs a message") for name in users}
    return UnitCosts(
        cpu={name: median("path", f"{name}, µs a message") for name in PROCESSES},
        redis_shares={name: each / sum(alone.values()) for name, each in alone.items()},
        kept=median("sizes", KEPT),
        redis_log=sum(median("sizes", name) for name in LOGGED),
        row=sum(median("sizes", name) for name in ROWS),
        postgres_log=median("sizes", "postgres's log, bytes a row"),
        wires={hop: median("sizes", name) for hop, name in WIRES.items()},
    )
