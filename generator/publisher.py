"""Publisher: publishes the market's steps as they fall due, and counts what Redis accepted."""

import asyncio
from contextlib import suppress
from time import monotonic

from redis.asyncio import Redis

from generator.market import Market, Message
from generator.settings import GeneratorSettings
from pipeline.connections import redis_outage
from pipeline.events import beat
from pipeline.outage import Outage, Stopped, pause, persist

SHORTEST_PAUSE = 0.005  # fast markets publish many steps in one pipeline, 200 times a second
LARGEST_CATCH_UP = 1.0  # seconds; what is later than that is skipped, never burst


class Schedule:
    """The n-th step is due at start + n / hz, so that no delay adds up."""

    def __init__(self, hz: float, now: float) -> None:
        self._hz = hz
        self._start = now
        self._done = 0

    def take(self, now: float) -> int:
        """How many steps are due and not yet taken; all that are too late are given up."""
        due = int((now - self._start) * self._hz) - self._done
        self._done += due
        return due if due <= max(1.0, LARGEST_CATCH_UP * self._hz) else 0

    def until_next(self, now: float) -> float:
        """Seconds from `now` to the next step."""
        return max(0.0, self._start + (self._done + 1) / self._hz - now)


class Publisher:
    """Owns the counters: `published` counts Redis's own answers, so it's exact."""

    def __init__(self, redis: Redis, market: Market, settings: GeneratorSettings) -> None:
        self._redis = redis
        self._market = market
        self._heartbeat_file = settings.heartbeat_file
        self._schedule = Schedule(settings.generator_hz, monotonic())
        self._published = 0
        self._unconfirmed = 0  # the connection broke before the answer: published or not

    def counters(self) -> dict[str, int]:
        """Cumulative since the start of this process."""
        return {"published": self._published, "unconfirmed": self._unconfirmed}

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`."""
        with suppress(Stopped):
            while not stop.is_set():
                await persist(self._publish_due, stop)
                beat(self._heartbeat_file)
                await pause(stop, max(SHORTEST_PAUSE, self._schedule.until_next(monotonic())))

    async def _publish_due(self) -> None:
        """Never the same messages twice: after an Outage, a price that wasn't published is old."""
        steps = self._schedule.take(monotonic())
        messages = [message for _ in range(steps) for message in self._market.step()]
        if not messages:
            with redis_outage():  # an outage isn't over because there is nothing to say
                await self._redis.ping()
            return
        try:
            with redis_outage():
                await self._publish(messages)
        except Outage:
            self._unconfirmed += len(messages)
            raise

    async def _publish(self, messages: list[Message]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for message in messages:
                _ = pipeline.publish(message.channel, message.text)  # queued: execute() sends
            replies = await pipeline.execute(raise_on_error=False)
        accepted = sum(isinstance(reply, int) for reply in replies)
        self._published += accepted
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
