"""nginx's port: whatever is thrown at it, it answers with a problem in JSON."""

import asyncio
import json
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.system import System

LONG = "x" * 9000


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /api/prices/% HTTP/1.1\r\nHost: h\r\nConnection: close", 400),
        ("GET /api/prices/%00 HTTP/1.1\r\nHost: h\r\nConnection: close", 400),
        ("nonsense", 400),
        ("GET / HTTP/1.1\r\nConnection: close", 400),  # no host
        (f"GET /{LONG} HTTP/1.1\r\nHost: h\r\nConnection: close", 414),
        (f"GET / HTTP/1.1\r\nHost: h\r\nX: {LONG}\r\nConnection: close", 400),
        ("GET /nothing/here HTTP/1.1\r\nHost: h\r\nConnection: close", 404),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\nConnection: close", 413),
    ],
)
async def test_a_request_that_makes_no_sense_is_a_problem_in_json(
    system: System, line: str, status: int
) -> None:
    where = urlsplit(system.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(f"{line}\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()

    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["status"] == status


async def test_a_redirect_names_no_port_of_the_inside(system: System) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{system.url}/vendor", allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (301, "/vendor/")


async def test_another_sites_page_may_not_follow_the_prices(system: System) -> None:
    url = system.url.replace("http", "ws", 1) + "/connection/websocket"
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(url, headers={"Origin": system.url}) as ours:
            await ours.send_json({"id": 1, "connect": {}})
            assert "connect" in await ours.receive_json()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(url, headers={"Origin": "http://elsewhere.example"})
