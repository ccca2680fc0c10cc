"""Raw bridge: the smallest loop that appends what is published; no lease and no repeats."""

import asyncio
import os
import sys
from functools import partial
from urllib.parse import unquote, urlsplit

import hiredis
import uvloop

from bench.load import packed

CHANNELS = (b"NYSE", b"NASDAQ")
XADD = (
    b"*7\r\n$4\r\nXADD\r\n$5\r\nticks\r\n$1\r\n*\r\n$7\r\nchannel\r\n$%d\r\n%b\r\n$7\r\nmessage\r\n"
)
BEGIN = {channel: XADD % (len(channel), channel) for channel in CHANNELS}


class Stream(asyncio.Protocol):
    """The answers are thrown away."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]  # TCP can write


class Channels(Stream):
    """One clockless, stateless join for each read."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        commands = []
        while (item := reader.gets()) is not False:
            if item[0] == b"message":
                message = item[2]
                commands.append(b"%b$%d\r\n%b\r\n" % (BEGIN[item[1]], len(message), message))
            elif item[0] == b"subscribe" and item[2] == len(CHANNELS):
                sys.stdout.write('{"event": "ready"}\n')
                sys.stdout.flush()
        self._stream.transport.write(b"".join(commands))


async def main(redis_url: str) -> None:
    url, loop = urlsplit(redis_url), asyncio.get_running_loop()
    address = (url.hostname or "", url.port or 6379)
    login = packed("AUTH", url.username or "", unquote(url.password or ""))
    _, stream = await loop.create_connection(Stream, *address)
    stream.transport.write(login)
    _, channels = await loop.create_connection(partial(Channels, stream), *address)
    channels.transport.write(login + packed("SUBSCRIBE", *map(bytes.decode, CHANNELS)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(os.environ["REDIS_URL"]))
