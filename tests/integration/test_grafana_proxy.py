"""nginx in front of Grafana's path, with somebody behind it who says what arrives, or nobody."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from local.instance import LOOPBACK, Instance
from local.servers import prepare
from tests.embedded import PORTS, ServerProcess
from tests.servers import free_ports, http_answers
from tests.services import ROOT

OWN_POLICY = "script-src 'self' 'nonce-1'"


@contextmanager
def nginx(grafana: str | None) -> Iterator[str]:
    """Its address; `grafana` is where it looks for Grafana."""
    variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if grafana is not None:
        variables["GRAFANA_ADDRESS"] = grafana
    data = Path(tempfile.mkdtemp(prefix="pipeline-test-"))  # as Embedded does it
    instance = Instance(root=ROOT, http_port=free_ports(PORTS), data=data, variables=variables)
    prepare(instance)
    process = ServerProcess("nginx", instance, lambda: http_answers(f"{instance.url}/healthz"))
    try:
        process.start()
        yield f"http://{LOOPBACK}:{instance.http_port}"
    finally:
        process.close()


async def echo(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade") == "websocket":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(str(message.data))
        return socket
    said = {"path": request.raw_path, **{k.lower(): v for k, v in request.headers.items()}}
    return web.json_response(said, headers={"Content-Security-Policy": OWN_POLICY})


@pytest.fixture
async def behind() -> AsyncIterator[str]:
    """The address of somebody who answers with what was asked."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, port := free_ports(1))
    await site.start()
    yield f"{LOOPBACK}:{port}"
    await runner.cleanup()


async def test_the_path_goes_on_whole_with_the_host_and_without_the_pages_own_origin(
    behind: str,
) -> None:
    with nginx(behind) as url:
        async with aiohttp.ClientSession() as http:
            path = "/grafana/api/.ds/query?a=b%20c"
            async with http.post(f"{url}{path}", headers={"Origin": url}, data="x") as answer:
                said = await answer.json()
                assert answer.headers.getall("Content-Security-Policy") == [OWN_POLICY]
            async with http.get(f"{url}/grafana/", headers={"Origin": "http://other"}) as answer:
                foreign = await answer.json()
    assert said["path"] == path
    assert said["host"] == url.removeprefix("http://")
    assert "origin" not in said
    assert foreign["origin"] == "http://other"


async def test_a_websocket_goes_through(behind: str) -> None:
    with nginx(behind) as url:
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{url}/grafana/api/live/ws", timeout=aiohttp.ClientWSTimeout()) as ws,
        ):
            await ws.send_str("hello")
            assert (await ws.receive(5)).data == "hello"


async def test_the_path_without_a_slash_leads_to_the_one_with_it(behind: str) -> None:
    with nginx(behind) as url:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{url}/grafana", allow_redirects=False) as answer,
        ):
            assert (answer.status, answer.headers["Location"]) == (301, "/grafana/")


@pytest.mark.parametrize(
    ("grafana", "status", "words"),
    [(None, 404, "Docker only"), (f"{LOOPBACK}:9", 502, "not answering")],
    ids=["without Docker", "while it is away"],
)
async def test_who_asks_for_grafana_where_it_isnt_is_told(
    grafana: str | None, status: int, words: str
) -> None:
    with nginx(grafana) as url:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{url}/grafana/d/pipeline") as answer:
                problem = await answer.json(content_type="application/problem+json")
                assert (answer.status, problem["status"]) == (status, status)
                assert words in problem["detail"]
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            async with http.get(f"{url}/nothing-here") as answer:
                problem = await answer.json(content_type="application/problem+json")
                assert problem["detail"] == "There is nothing at this address."


async def test_the_page_learns_without_an_error_whether_there_is_a_grafana(behind: str) -> None:
    """An error would be one in the browser's console, too."""
    assert await _there(behind) == (200, "/grafana/api/health")
    assert await _there(None) == (204, None)
    assert await _there(f"{LOOPBACK}:9") == (204, None)


async def _there(grafana: str | None) -> tuple[int, str | None]:
    """The status, and what Grafana was asked for."""
    with nginx(grafana) as url:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/grafana-there") as answer:
            said = await answer.json() if answer.status == 200 else {"path": None}
            return answer.status, said["path"]
