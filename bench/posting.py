"""Posting: what the forwarder would send, made beforehand, as fast as Centrifugo takes it; JSON."""

import time
from datetime import timedelta

import aiohttp
import orjson
import uvloop

from bench.backlog import entries
from bench.browser import say
from forwarder.centrifugo import Centrifugo
from forwarder.feed import Feed
from forwarder.settings import ForwarderSettings


class Recorder(Centrifugo):
    """Keeps each body instead of sending it, and answers as Centrifugo would."""

    def __init__(self, settings: ForwarderSettings) -> None:
        super().__init__(settings)
        self.bodies: list[bytes] = []

    async def _post(self, body: bytes) -> bytes:
        self.bodies.append(body)
        return orjson.dumps({"replies": [{}] * body.count(b'"idempotency_key"')})


async def recorded(settings: ForwarderSettings) -> tuple[list[bytes], int]:
    """The bodies for all of the stream, and how many ticks are in them."""
    recorder, count = Recorder(settings), 0

    async def more_follow(_: bytes, __: int) -> bool:
        return False

    feed = Feed(recorder, timedelta(0), more_follow)
    for batch in entries(str(settings.redis_url), settings.batch):
        await feed.publish(batch)
        count += len(batch)
    return recorder.bodies, count


async def main() -> None:
    settings = ForwarderSettings()
    bodies, count = await recorded(settings)
    url = f"{settings.centrifugo_api_url[0]}/batch"
    headers = {
        "X-API-Key": settings.centrifugo_api_key.get_secret_value(),
        "Content-Type": "application/json",
    }
    say(event="ready")
    async with aiohttp.ClientSession(headers=headers) as http:
        began, cpu = time.monotonic(), time.process_time()
        for body in bodies:
            async with http.post(url, data=body) as response:
                response.raise_for_status()
                await response.read()
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    say(event="posted", ticks=count, seconds=seconds, cpu_seconds=cpu)


if __name__ == "__main__":
    uvloop.run(main())
