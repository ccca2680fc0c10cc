"""Network: a Toxiproxy between each service and each server, and what it does to their bytes."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson

from local.go_tools import BIN
from local.instance import LOOPBACK, Instance
from tests.servers import http_answers

# What a service reads the address of a server from.
ADDRESSES = {
    "redis": "REDIS_URL",
    "postgres": "POSTGRES_DSN",
    "centrifugo": "CENTRIFUGO_API_URL",
}
USES = {
    "bridge": ("redis",),
    "forwarder": ("redis", "centrifugo"),
    "writer": ("redis", "postgres"),
    "api": ("redis", "postgres"),
}
LINKS = [(service, server) for service, servers in USES.items() for server in servers]
ASK_LIMIT = 10.0


class Link(NamedTuple):
    """The way from one service to one server: a port that leads to the server's."""

    member: str  # or several replicas
    server: str
    port: int
    server_port: int

    @property
    def name(self) -> str:
        return f"{self.member}-{self.server}"


@dataclass(frozen=True)
class Network:
    """All ways, and the HTTP port that changes them."""

    links: dict[str, Link]
    port: int

    @classmethod
    def of(cls, instance: Instance, bridges: Iterable[str], first_port: int) -> "Network":
        """Each bridge has a way of its own, the replicas of the others share one."""
        servers = {
            "redis": instance.redis_port,
            "postgres": instance.postgres_port,
            "centrifugo": instance.centrifugo_internal_port,
        }
        ends = [(bridge, "redis") for bridge in bridges]
        ends += [(service, server) for service, server in LINKS if service != "bridge"]
        ports = count(first_port + 1)
        links = [Link(member, server, next(ports), servers[server]) for member, server in ends]
        return cls({link.name: link for link in links}, first_port)

    def command(self, file: Path) -> list[str]:
        """Whatever happens to it, it starts with all ways open."""
        ways = [
            {
                "name": link.name,
                "listen": f"{LOOPBACK}:{link.port}",
                "upstream": f"{LOOPBACK}:{link.server_port}",
                "enabled": True,
            }
            for link in self.links.values()
        ]
        file.write_bytes(orjson.dumps(ways))
        program = str(BIN / "toxiproxy-server")
        return [program, "-host", LOOPBACK, "-port", str(self.port), "-config", str(file)]

    def answers(self) -> bool:
        return http_answers(f"{self._url}/version")

    def through(self, member: str, environment: dict[str, str]) -> dict[str, str]:
        """The environment of a service, with the addresses of its ways for those of servers."""
        changed = dict(environment)
        for link in self.links.values():
            if link.member == member:
                name = ADDRESSES[link.server]
                own, way = (f"{LOOPBACK}:{port}/" for port in (link.server_port, link.port))
                changed[name] = changed[name].replace(own, way)
        return changed

    @asynccontextmanager
    async def cut(self, link: str) -> AsyncIterator[None]:
        """Connections end, and none can be made."""
        await self._ask("POST", link, {"enabled": False})
        try:
            yield
        finally:
            await self._ask("POST", link, {"enabled": True})

    @asynccontextmanager
    async def toxic(
        self, link: str, kind: str, streams: Iterable[str], **attributes: int
    ) -> AsyncIterator[None]:
        """Of each stream: upstream is what the service sends, downstream what it gets."""
        async with AsyncExitStack() as removals:
            for stream in streams:
                name = f"{kind}_{stream}"
                toxic = {"name": name, "type": kind, "stream": stream, "attributes": attributes}
                await self._ask("POST", f"{link}/toxics", toxic)
                removals.push_async_callback(self._ask, "DELETE", f"{link}/toxics/{name}")
            yield

    @property
    def _url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def _ask(self, method: str, what: str, body: dict[str, Any] | None = None) -> None:
        limit = aiohttp.ClientTimeout(total=ASK_LIMIT)
        async with (
            aiohttp.ClientSession(timeout=limit, raise_for_status=True) as http,
            http.request(method, f"{self._url}/proxies/{what}", json=body),
        ):
            pass
