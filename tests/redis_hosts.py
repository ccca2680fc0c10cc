"""RedisHosts: a Redis Cluster on three hosts, each with a master and another master's replica."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.embedded import ServerProcess, prepared
from tests.hosts import Host
from tests.looking import look
from tests.redis_nodes import following, words
from tests.servers import RedisServer, redis_answers
from tests.waiting import wait_until

ANY = "0.0.0.0"  # noqa: S104 - of the host: it has loopback and one card
FIRST_PORTS = 8000, 8010  # of a host's two nodes; each host has all ports for itself
SLOTS = 16384
NODE_TIMEOUT = 5000  # ms; as docs/redis-cluster.md says


@dataclass(frozen=True)
class Node:
    """One Redis, and the host it is on."""

    host: Host
    port: int
    server: RedisServer

    @property
    def address(self) -> str:
        return f"{self.host.address}:{self.port}"

    @property
    def url(self) -> str:
        return self.server.url


@dataclass(frozen=True)
class RedisHosts:
    """`nodes`: the three that are masters at first, then the replicas, each on the next host."""

    nodes: Sequence[Node]

    @property
    def addresses(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def url_of(self, user: str) -> str:
        return self.nodes[0].server.url_of(user)

    async def serving(self, key: str, asked: Node) -> list[Node]:
        """The master of the key's slot and its replicas, as one node knows them."""
        async with look(asked.url) as redis:
            slot = await redis.execute_command("CLUSTER", "KEYSLOT", key)
            for first, last, *places in await redis.execute_command("CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return [self._at(f"{place[0].decode()}:{place[1]}") for place in places]
        return []

    async def form(self) -> None:
        """Make a cluster of the nodes, once they run."""
        names = [await self._begin(number) for number in range(3)]
        async with look(self.nodes[0].url) as redis:
            for node in self.nodes[1:]:
                await redis.execute_command("CLUSTER", "MEET", node.host.address, node.port)
        for node, name in zip(self.nodes[3:], names, strict=True):
            async with look(node.url) as redis:
                await wait_until(partial(_knows, redis, name), what=f"{node.address} knows all")
                await redis.execute_command("CLUSTER", "REPLICATE", name)
        await self.is_whole()

    async def _begin(self, number: int) -> str:
        """A third of the slots for one of the first three; its name."""
        begin, end = (SLOTS * each // 3 for each in (number, number + 1))
        async with look(self.nodes[number].url) as redis:
            await redis.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            await redis.execute_command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
            return str((await redis.execute_command("CLUSTER", "MYID")).decode())

    async def is_whole(self, limit: float = 30.0) -> None:
        """Return once all agree, nobody is missed, and every replica follows its master."""

        async def agreed() -> bool:
            first, *others = [await _view(node) for node in self.nodes]
            return len(first) == 3 and all(view == first for view in others)

        await wait_until(agreed, limit, "the cluster is whole")

    async def home(self) -> None:
        """Let the first three be the masters again, as after a failover an operator does it.

        Or two of them are on one host, and who cuts that off takes the cluster's majority.
        """
        await self.is_whole()
        for node in self.nodes[:3]:
            async with look(node.url) as redis:
                if not await _leads(redis):
                    await redis.execute_command("CLUSTER", "FAILOVER")
                    await wait_until(partial(_leads, redis), what=f"{node.address} is a master")
        await self.is_whole()

    def _at(self, address: str) -> Node:
        return next(node for node in self.nodes if node.address == address)


Start = Callable[[Host, ServerProcess], ServerProcess]


def redis_hosts(hosts: Sequence[Host], start: Start) -> RedisHosts:
    """Two nodes on each; `start` runs a server on a host."""
    masters = [_node(host, FIRST_PORTS[0], start) for host in hosts]
    replicas = [_node(host, FIRST_PORTS[1], start) for host in (*hosts[1:], hosts[0])]
    return RedisHosts((*masters, *replicas))


def _node(host: Host, first_port: int, start: Start) -> Node:
    instance = prepared(first_port)
    port = instance.redis_port
    options = {
        "bind": ANY,
        "cluster-enabled": "yes",
        "cluster-announce-ip": host.address,
        "cluster-node-timeout": str(NODE_TIMEOUT),
        "cluster-require-full-coverage": "no",
        **following(instance.redis_url("operator")),
        "shutdown-timeout": "0",  # a master that ends need not wait for a replica that has ended
        "repl-ping-replica-period": "1",  # a replica that has heard nothing isn't named to anybody
    }
    process = ServerProcess("redis", instance, partial(redis_answers, port), *words(options))
    start(host, process)
    url = instance.redis_url("operator").replace("127.0.0.1", host.address)
    return Node(host, port, RedisServer(process, url))


async def _knows(redis: Any, name: str) -> bool:
    nodes: Any = await redis.execute_command("CLUSTER", "NODES")
    return name in str(nodes)


async def _leads(redis: Any) -> bool:
    return bool((await redis.info("replication"))["role"] == "master")


async def _view(node: Node) -> set[tuple[str, str]]:
    """Master and replica of each third, as that node sees them; empty while something is wrong."""
    async with look(node.url) as redis:
        state = bytes(await redis.execute_command("CLUSTER", "INFO"))
        known = bytes(await redis.execute_command("CLUSTER", "NODES"))
        slots = await redis.execute_command("CLUSTER", "SLOTS")
        info = await redis.info("replication")
    pairs = [[f"{place[0].decode()}:{place[1]}" for place in places] for _, _, *places in slots]
    follows = info["role"] == "master" or info["master_link_status"] == "up"
    well = b"cluster_state:ok" in state and b"fail" not in known
    if not well or not follows or any(len(pair) != 2 for pair in pairs):
        return set()
    return {(master, replica) for master, replica in pairs}
