"""Events: the catalogue of names, and the one JSON line each becomes on stdout."""

import logging
import sys
import traceback
from collections import Counter
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from time import time
from typing import Literal

import orjson

Event = Literal[
    "service.started",  # settings read, main begins
    "service.stopped",  # main has ended as asked
    "service.misconfigured",  # a variable is missing or wrong; names them
    "service.crashed",  # a bug: the traceback is in the line, exit 1 follows
    "service.stop_timeout",  # work in hand took longer than a stop may last
    "log",  # a third-party library's log record
    "outage",  # a neighbour is away; said once per growing pause
    "outage.over",  # and is back
    "progress",  # metrics, counters cumulative, repeated: a lost line loses nothing
    "stream.group_created",  # the consumer group didn't exist
    "stream.reset",  # the stream or the group vanished under us: FLUSHALL, a lost volume
    "stream.entry_lost",  # a pending entry whose body was deleted: proven loss
    "stream.mostly_invalid",  # an incident: most of the latest entries are dead letters
    "stream.claimed",  # entries of dead peers are ours now
    "stream.consumer_removed",  # a dead peer that left nothing behind
    "stream.name_taken",  # another process has our consumer's name: we took another
    "stream.suspects",  # entries delivered so often that each is tried alone
    "stream.foreign",  # somebody else appended to the stream
    "stream.overrun",  # the stream's cap removed what a group still needed
    "stream.behind",  # Redis lost appends it had acknowledged
    "dead_letter",  # an entry nobody can use, kept with its reason
    "bridge.subscribed",  # every channel is confirmed
    "bridge.gap",  # no subscription for so long: what was published then is gone
    "bridge.unaligned",  # took over without knowing which of its messages are appended already
    "bridge.overflow",  # the buffer is full: oldest messages dropped
    "bridge.clock_behind",  # the clock stepped back; ids go on from the last one
    "lease.taken",  # this bridge appends now
    "lease.held",  # another bridge appends; this one waits
    "lease.lost",  # fenced: somebody took the lease, or it ran out
    "lease.yielded",  # given up to a bridge that hears more
    "bridge.lined_up",  # knows to the message what the other one has appended
    "migrate.applied",  # a step of the schema that this database did not have
    "partitions.kept",  # days were made or dropped
    "partitions.failed",  # some could not be: the next hour's call tries again
    "replica.behind",  # the api's replica lacks what the primary has had for seconds
    "replica.caught_up",
    "writer.redelivered",  # the table had part of the batch already
    "forwarder.conflated",  # too far behind: only the newest tick of each stock was sent
]

STARTED_AT = round(time(), 3)  # another value is another process: a restart

errors: Counter[str] = Counter()
"""How often what went wrong, by kind, since the start of this process."""

# Which events are errors: their kind, and the field that says more. Dead letters, dropped messages,
# gaps and overruns have counters of their own.
_ERRORS: dict[Event, tuple[str, str]] = {
    "outage": ("outage", "neighbour"),
    "log": ("log", "level"),
    "service.crashed": ("crash", ""),
    "service.stop_timeout": ("stop_timeout", ""),
    "stream.reset": ("stream_reset", ""),
    "stream.entry_lost": ("entry_lost", ""),
    "stream.mostly_invalid": ("mostly_invalid", ""),
    "stream.name_taken": ("name_taken", ""),
    "stream.suspects": ("suspects", ""),
    "stream.foreign": ("foreign", ""),
    "stream.behind": ("behind", ""),
    "bridge.unaligned": ("unaligned", ""),
    "partitions.failed": ("partitions", ""),
}

in_shard: ContextVar[int | None] = ContextVar("in_shard", default=None)
"""Of which shard all that is said in this context is, where there are several."""

_identity = {"service": "unknown", "instance": gethostname()}


def identify(service: str, instance: str | None = None) -> None:
    """Name the service that all later lines are from."""
    _identity["service"] = service
    if instance:
        _identity["instance"] = instance


def emit(event: Event, **fields: object) -> None:
    """Write one line: `at service instance event` and the fields, in that order."""
    if event in _ERRORS:
        kind, more = _ERRORS[event]
        errors[f"{kind}:{fields.get(more)}" if more else kind] += 1
    shard = {} if (number := in_shard.get()) is None else {"shard": number}
    line = {"at": datetime.now(UTC), **_identity, "event": event, **shard, **fields}
    sys.stdout.buffer.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def beat(heartbeat_file: Path | None) -> None:
    """Say that the loop made progress, for a health check that reads the file's age."""
    if heartbeat_file:
        heartbeat_file.touch()


class EventHandler(logging.Handler):
    """Third-party `logging` in the same line format."""

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
        fields = {"trace": trace} if trace else {}
        emit(
            "log",
            level=record.levelname.lower(),
            logger=record.name,
            text=record.getMessage(),
            **fields,
        )
