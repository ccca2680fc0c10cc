"""TwoFeeds: two Centrifugo nodes with a Redis between them behind nginx, as processes."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from tests.embedded import PORTS, ServerProcess, prepared
from tests.names import serving_names
from tests.servers import (
    LOOPBACK,
    CentrifugoServer,
    RedisServer,
    free_ports,
    http_answers,
    redis_answers,
)
from tests.services import ROOT

OTHER = "127.0.0.2"  # the second node's: a name has addresses, and no ports
ESTABLISHED = "01"  # as /proc/net/tcp writes it
PASSWORD = "a-password-of-the-feed's"  # noqa: S105  # of this test's servers


@dataclass(frozen=True)
class Node:
    """One Centrifugo, and the place where nginx reaches it."""

    server: CentrifugoServer
    host: str
    port: int

    @property
    def has_client(self) -> bool:
        """A connection, which nginx keeps for a browser."""
        packed = int.from_bytes(socket.inet_aton(self.host), "little")
        own = f"{packed:08X}:{self.port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return [own, ESTABLISHED] in [line.split()[1:4:2] for line in lines]


@dataclass(frozen=True)
class TwoFeeds:
    nodes: tuple[Node, Node]
    redis: RedisServer
    url: str  # nginx's

    @property
    def ws_url(self) -> str:
        return f"{self.url.replace('http', 'ws')}/connection/websocket"

    @property
    def centrifugo(self) -> CentrifugoServer:
        """As a forwarder sees both."""
        urls = ",".join(node.server.api_url for node in self.nodes)
        first = self.nodes[0].server
        return CentrifugoServer(first.runner, urls, first.api_key, self.ws_url)

    def node_of_client(self) -> Node:
        """Of the only one that there is."""
        (found,) = [node for node in self.nodes if node.has_client]
        return found


@contextmanager
def two_feeds(api_address: str = f"{LOOPBACK}:1") -> Iterator[TwoFeeds]:
    """Running; `api_address` is what nginx passes /api/ to."""
    with ExitStack() as until_the_end:

        def start(process: ServerProcess) -> ServerProcess:
            until_the_end.callback(process.close)
            process.start()
            return process

        names = until_the_end.enter_context(serving_names(LOOPBACK, OTHER))
        process, redis = feed_redis(free_ports(PORTS), LOOPBACK)
        start(process)
        http_port = free_ports(PORTS)
        nodes = []
        for host in (LOOPBACK, OTHER):
            process, node = centrifugo_node(http_port, host, redis.url)
            start(process)
            nodes.append(node)
        door = prepared(free_ports(PORTS))
        rendered = door.run_files / "default.conf"
        text = rendered.read_text()
        # The template as Docker's nginx gets it: a name, and who knows its addresses.
        text = text.replace(f"resolver {LOOPBACK} ", f"resolver {names} ")
        text = text.replace(f"{LOOPBACK}:{door.centrifugo_port}", f"centrifugo:{nodes[0].port}")
        text = text.replace(f"{LOOPBACK}:{door.api_port}", api_address)
        rendered.write_text(text)
        url = f"http://{LOOPBACK}:{door.http_port}"
        start(ServerProcess("nginx", door, lambda: http_answers(f"{url}/healthz")))
        yield TwoFeeds((nodes[0], nodes[1]), redis, url)


def feed_redis(http_port: int, host: str, *options: str) -> tuple[ServerProcess, RedisServer]:
    """What the nodes have in common; not started yet."""
    instance = prepared(http_port, REDIS_FEED_PASSWORD=PASSWORD)
    answers = partial(redis_answers, instance.redis_port)
    process = ServerProcess("redis-feed", instance, answers, *options)
    return process, RedisServer(process, f"redis://{host}:{instance.redis_port}")


def centrifugo_node(http_port: int, host: str, redis_url: str) -> tuple[ServerProcess, Node]:
    """One of several that have a Redis in common; not started yet."""
    instance = prepared(http_port)
    process = ServerProcess(
        "centrifugo",
        instance,
        lambda: http_answers(f"http://{host}:{instance.centrifugo_internal_port}/health"),
        **_as_in_compose()
        | {
            "CENTRIFUGO_HTTP_SERVER_ADDRESS": host,
            "CENTRIFUGO_HTTP_SERVER_INTERNAL_ADDRESS": host,
            "CENTRIFUGO_ENGINE_REDIS_ADDRESS": redis_url,
            "CENTRIFUGO_ENGINE_REDIS_PASSWORD": PASSWORD,
        },
    )
    api_url = f"http://{host}:{instance.centrifugo_internal_port}/api"
    key, port = instance.environment()["CENTRIFUGO_API_KEY"], instance.centrifugo_port
    server = CentrifugoServer(process, api_url, key, f"ws://{host}:{port}/connection/websocket")
    return process, Node(server, host, port)


def _as_in_compose() -> dict[str, str]:
    overlay = yaml.safe_load((ROOT / "compose.two-feeds.yaml").read_text())
    return dict(overlay["services"]["centrifugo"]["environment"])
