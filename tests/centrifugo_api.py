"""Centrifugo's HTTP API of a running system, for tests that say what its forwarder never would."""

from typing import Any

import aiohttp

from tests.system import System

CHANNELS = ("prices:NYSE", "prices:NASDAQ")


async def publish(system: System, channel: str, data: object) -> None:
    """Any JSON, to all who listen."""
    await call(system, "publish", channel=channel, data=data)


async def call(system: System, method: str, **parameters: Any) -> None:
    given = system.instance.environment()
    key = {"X-API-Key": given["CENTRIFUGO_API_KEY"]}
    url = f"{given['CENTRIFUGO_API_URL']}/{method}"
    async with (
        aiohttp.ClientSession(headers=key) as http,
        http.post(url, json=parameters) as answer,
    ):
        assert "error" not in await answer.json(), (method, parameters, await answer.text())
