"""Shards: several streams, each with the ticks of some stocks; a process that serves several."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol, TypeVar
from zlib import crc32

from redis.asyncio import Redis

from pipeline.connections import connect
from pipeline.events import in_shard
from pipeline.progress import Metrics, answered, emit_progress, report_progress
from pipeline.settings import Settings

BEAT_EVERY = 1.0

S_contra = TypeVar("S_contra", bound=Settings, contravariant=True)

Read = Callable[[], Metrics]
Ask = Callable[[], Awaitable[Metrics]]
Report = Callable[[Read, Ask], None]
"""Takes what counts, and what Redis is asked for, of one shard."""


class Serve(Protocol[S_contra]):
    """What a service does for one stream, until `stop`; it tells by `report` what it counts."""

    async def __call__(
        self,
        settings: S_contra,
        redis: Redis,
        stop: asyncio.Event,
        report: Report,
    ) -> None: ...


S = TypeVar("S", bound=Settings)


def shard_of(message: bytes, shards: int) -> int:
    """By the bytes before the last colon, a stock's name: CRC-32, the same for ever."""
    return crc32(message.rpartition(b":")[0]) % shards


@asynccontextmanager
async def connect_each(settings: S) -> AsyncIterator[dict[int, tuple[S, Redis]]]:
    """By number, of each shard that is ours its settings, and a client of the Redis that has it."""
    async with AsyncExitStack() as clients:
        yield {
            shard: (its, await clients.enter_async_context(connect(its)))
            for shard, its in settings.each_shard().items()
        }


async def serve_each(settings: S, stop: asyncio.Event, serve: Serve[S]) -> None:
    """Serve each shard that is ours, and report of all of them in one line."""
    told = _Told(is_sharded=settings.shards > 1)
    async with connect_each(settings) as own, asyncio.TaskGroup() as tasks:
        serving = []
        for shard, (its, redis) in own.items():
            work = _serve(serve(its, redis, stop, told.by(shard)), shard, settings.shards)
            serving.append(tasks.create_task(work))
        tasks.create_task(report_progress(told.read, stop, told.ask))
        beating = tasks.create_task(beat_for_all(settings))
        await asyncio.wait(serving)
        beating.cancel()
    emit_progress(told.read())


async def _serve(work: Awaitable[None], shard: int, shards: int) -> None:
    if shards > 1:
        in_shard.set(shard)  # in this task, and in all that it starts
    await work


async def beat_for_all(settings: Settings) -> None:
    """As old as the oldest of them: who waits in one shard doesn't look alive by another."""
    files = [each.heartbeat_file for each in settings.each_shard().values()]
    while settings.shards > 1 and settings.heartbeat_file:
        ages = [file.stat().st_mtime if file and file.exists() else 0.0 for file in files]
        settings.heartbeat_file.touch()
        os.utime(settings.heartbeat_file, (min(ages), min(ages)))
        await asyncio.sleep(BEAT_EVERY)


class _Told:
    """What the shards of a process have to say, as one."""

    def __init__(self, *, is_sharded: bool) -> None:
        self._is_sharded = is_sharded
        self._read: dict[int, Read] = {}
        self._ask: dict[int, Ask] = {}

    def by(self, shard: int) -> Report:
        def report(read: Read, ask: Ask) -> None:
            self._read[shard], self._ask[shard] = read, ask

        return report

    def read(self) -> Metrics:
        return self._one({shard: read() for shard, read in self._read.items()})

    async def ask(self) -> Metrics:
        """What one shard can't say is left out, as it would be without the others."""
        replies = [answered(ask) for ask in self._ask.values()]
        return self._one(dict(zip(self._ask, await asyncio.gather(*replies), strict=True)))

    def _one(self, told: Mapping[int, Metrics]) -> Metrics:
        """Each number with its shard as a label; without, where there is only one stream."""
        if not self._is_sharded:
            return next(iter(told.values()), {})
        labelled: dict[str, list[Metrics]] = {}
        for shard, metrics in told.items():
            for name, value in metrics.items():
                points = labelled.setdefault(name, [])
                points += [{"shard": str(shard), **point} for point in _points(value)]
        return labelled


def _points(value: object) -> list[Metrics]:
    """A metric's numbers with their labels, from any of the forms that `progress` may have."""
    if isinstance(value, dict):
        known = [(stat, number) for stat, number in value.items() if number is not None]
        return [{"stat": stat, "value": number} for stat, number in known]
    if isinstance(value, list):
        return value
    return [] if value is None else [{"value": value}]
