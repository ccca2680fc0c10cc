"""Subscriber: keeps what is published on the price channels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis


class Subscriber:
    """`messages` are pairs of channel and message, in order of arrival."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bytes]] = []

    @property
    def names(self) -> set[bytes]:
        """The stocks that had a message."""
        return {message.partition(b":")[0] for _, message in self.messages}


@asynccontextmanager
async def subscribed(redis_url: str, *channels: str) -> AsyncIterator[Subscriber]:
    """From the first moment on: the subscription is confirmed."""
    subscriber = Subscriber()
    confirmed = asyncio.Event()
    async with Redis.from_url(redis_url, protocol=2) as client, client.pubsub() as pubsub:

        async def listen() -> None:
            confirmations = 0
            async for message in pubsub.listen():
                if message["type"] == "message":
                    subscriber.messages.append((message["channel"], message["data"]))
                elif (confirmations := confirmations + 1) == len(channels):
                    confirmed.set()

        await pubsub.subscribe(*channels)
        listening = asyncio.ensure_future(listen())
        await confirmed.wait()
        yield subscriber
        listening.cancel()
        await asyncio.wait({listening})
