"""A server in Centrifugo's place that says no, says nonsense or takes its time: all come again."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import orjson
import pytest
from aiohttp import web
from redis.asyncio import Redis

from tests.consumers import start_forwarder
from tests.servers import LOOPBACK, CentrifugoServer, Foreign, free_ports
from tests.services import Service, StartService
from tests.ticks import all_settled, append, dead_letters, entries, in_hand, numbered
from tests.waiting import wait_until

StartForwarder = Callable[..., Service]
Command = dict[str, Any]


class InItsPlace:
    """Takes requests as Centrifugo's API does, but for the answers that it is told to give."""

    def __init__(self) -> None:
        self.requests: list[list[Command]] = []
        self.answers: deque[tuple[int, bytes] | None] = deque()  # None: none, the connection ends
        self.answering = asyncio.Event()
        self.answering.set()  # cleared: an answer that it isn't told to give has to wait

    @property
    def ticks(self) -> int:
        """Of the last request."""
        return sum(len(each["publish"]["data"]["ticks"]) for each in self.requests[-1])

    async def answer(self, request: web.Request) -> web.Response:
        commands = orjson.loads(await request.read())["commands"]
        self.requests.append(commands)
        if not self.answers:
            await self.answering.wait()
            return web.Response(body=taken(len(commands)))
        if answer := self.answers.popleft():
            return web.Response(status=answer[0], body=answer[1])
        assert request.transport
        request.transport.abort()
        return web.Response()


def taken(count: int) -> bytes:
    return orjson.dumps({"replies": [{"publish": {}}] * count})


@pytest.fixture
async def centrifugo() -> InItsPlace:
    return InItsPlace()


@pytest.fixture
async def forwarder(
    centrifugo: InItsPlace, service: StartService, redis_url: str, stream: str
) -> AsyncIterator[StartForwarder]:
    """forwarder() starts one that takes it for Centrifugo."""
    app = web.Application()
    app.router.add_post("/api/batch", centrifugo.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    port = free_ports(1)
    await web.TCPSite(runner, LOOPBACK, port).start()
    server = CentrifugoServer(Foreign(), f"http://{LOOPBACK}:{port}/api", "key", "")
    yield partial(start_forwarder, service, redis_url, server, stream, BLOCK=0.2)
    await runner.cleanup()


FIRST_REFUSED = b'{"replies":[{"error":{"code":100,"message":"internal"}},{"publish":{}}]}'


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(((500, b"internal"), "HTTP 500"), id="500"),
        pytest.param(((503, b"<html>"), "HTTP 503"), id="503"),
        pytest.param(((200, b"<html>"), "not a batch's"), id="a page"),
        pytest.param(((200, b'{"error":{"code":100}}'), "not a batch's"), id="an error for all"),
        pytest.param(((200, b'{"replies":null}'), "not a batch's"), id="null"),
        pytest.param(((200, taken(1)), "1 replies to 2 commands"), id="too few"),
        pytest.param(((200, FIRST_REFUSED), "1 of 2 refused"), id="a part"),
        pytest.param((None, "isconnected"), id="none"),
    ],
)
async def test_any_answer_but_a_reply_to_each_is_an_outage_and_the_same_comes_again(
    redis: Redis,
    stream: str,
    centrifugo: InItsPlace,
    forwarder: StartForwarder,
    refusal: tuple[tuple[int, bytes] | None, str],
) -> None:
    answer, reason = refusal
    centrifugo.answers.append(answer)
    centrifugo.answering.clear()
    sent = entries(numbered(600))  # two publications
    await append(redis, stream, sent)
    process = forwarder()
    await process.wait_for("outage", neighbour="centrifugo", reason=lambda text: reason in text)
    await wait_until(lambda: len(centrifugo.requests) == 2)
    await in_hand(redis, stream, "forwarder", len(sent))
    centrifugo.answering.set()
    await all_settled(redis, stream, "forwarder")

    first, again = centrifugo.requests
    assert [len(each["publish"]["data"]["ticks"]) for each in first] == [500, 100]
    assert again == first  # with the same keys: Centrifugo drops what it had taken
    assert await dead_letters(redis, stream, "forwarder") == []
    assert await process.terminate() == 0
    assert process.noise == []


async def test_a_slow_centrifugo_gets_all_that_came_meanwhile_in_one_request(
    redis: Redis, stream: str, centrifugo: InItsPlace, forwarder: StartForwarder
) -> None:
    centrifugo.answering.clear()
    process = forwarder()
    await append(redis, stream, entries(numbered(1)))
    await wait_until(lambda: centrifugo.requests)
    for _ in range(20):
        await append(redis, stream, entries(numbered(20)))
    centrifugo.answering.set()
    await all_settled(redis, stream, "forwarder")

    assert len(centrifugo.requests) == 2
    assert centrifugo.ticks == 400
    assert not process.find("outage")
