"""RedisCluster: three masters and a replica of each, as processes, and what an operator does to them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.exceptions import RedisError

from tests.embedded import PORTS, ServerProcess, prepared
from tests.servers import LOOPBACK, RedisServer, free_ports, redis_answers, wait_ready
from tests.waiting import wait_until

SLOTS = 16384
# The tags {0}, {1} and {2} are the slots 13907, 9842 and 5649: each of three shards has its master.
FIRST_SLOTS = (12000, 8000, 0)
NODE_TIMEOUT = 2000  # ms: what a busy machine bears; a failover takes one and a half of it
LONGEST_FAILOVER = 30.0


@dataclass
class RedisCluster:
    """Nodes by their address, as host:port. The first three are masters, until a test changes it."""

    nodes: dict[str, RedisServer]
    _away: set[str] = field(default_factory=set)
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def living(self) -> list[str]:
        return [address for address in self.nodes if address not in self._away]

    def settings(self, user: str) -> dict[str, str]:
        """A service's: with the rights it has in the product, and no other address than these."""
        login = urlsplit(next(iter(self.nodes.values())).url_of(user)).netloc.rpartition("@")[0]
        return {"REDIS_CLUSTER": ",".join(self.nodes), "REDIS_URL": f"redis://{login}@nowhere:1"}

    def ask(self, address: str, *command: str | int) -> Any:
        """What this node answers to the operator; text is str."""
        if address not in self._clients:
            url = self.nodes[address].url
            self._clients[address] = Redis.from_url(
                url, protocol=2, decode_responses=True, socket_timeout=5
            )
            # Answers as they are: redis-py makes other shapes of some.
            self._clients[address].response_callbacks.clear()
        return self._clients[address].execute_command(*command)

    # Who is where.

    def places(self, key: str, asked: str = "") -> list[str]:
        """The master of the key, then its replicas, as one node knows them."""
        asked = asked or self.living[0]
        slot = self.ask(asked, "CLUSTER", "KEYSLOT", key)
        for first, last, *nodes in self.ask(asked, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return [f"{host}:{port}" for host, port, *_ in nodes]
        return []

    def url(self, stream: str) -> str:
        """The operator's, of its master."""
        return self.nodes[self.master(stream)].url

    def master(self, key: str) -> str:
        return self.places(key)[0]

    def replica(self, key: str) -> str:
        return self.places(key)[1]

    def appended(self, stream: str) -> int:
        """Entries that were ever added; 0 while nobody can tell."""
        try:
            info = self.ask(self.master(stream), "XINFO", "STREAM", stream)
        except RedisError:
            return 0
        return int(dict(zip(info[::2], info[1::2], strict=True))["entries-added"])

    async def is_well(self) -> None:
        """Return once every node runs, agrees with all others, and follows or is followed."""
        await wait_until(self._is_well, LONGEST_FAILOVER, "the cluster is well")

    async def promoted(self, key: str, old: str) -> str:
        """The key's new master, once all living nodes know it."""

        def agreed() -> str | None:
            known = {each[0] for at in self.living if (each := self.places(key, at))}
            return known.pop() if len(known) == 1 and old not in known else None

        return await wait_until(agreed, LONGEST_FAILOVER, f"another master than {old}")

    # What happens to it.

    def kill(self, address: str) -> None:
        self._away.add(address)
        self.nodes[address].kill()

    def start(self, address: str) -> None:
        """Again, on its data."""
        self.nodes[address].start()
        self._away.discard(address)

    def pause(self, address: str) -> None:
        self._away.add(address)
        self.nodes[address].pause()

    def resume(self, address: str) -> None:
        self.nodes[address].resume()
        self._away.discard(address)

    async def fail_over(self, key: str) -> str:
        """As an operator does it before a master is to be stopped; the new master."""
        old, new = self.places(key)[:2]
        self.ask(new, "CLUSTER", "FAILOVER")
        return await self.promoted(key, old)

    async def move(self, key: str, target: str) -> None:
        """Its slot, with all that is in it, to another master: as `redis-cli --cluster` does it."""
        source = self.master(key)
        slot = self.ask(source, "CLUSTER", "KEYSLOT", key)
        names = {each: self.ask(each, "CLUSTER", "MYID") for each in (source, target)}
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        login = urlsplit(self.nodes[target].url)
        who = ("AUTH2", str(login.username), unquote(str(login.password)))
        where = *target.split(":"), "", 0, 5000
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.ask(source, "MIGRATE", *where, *who, "KEYS", *keys)
        for each in (target, source):
            self.ask(each, "CLUSTER", "SETSLOT", slot, "NODE", names[target])
        await self.promoted(key, source)

    def form(self) -> None:
        """Make a cluster of nodes that run and know nobody."""
        addresses = list(self.nodes)
        masters, replicas = addresses[:3], addresses[3:]
        ends = (SLOTS, *FIRST_SLOTS)
        for epoch, (address, first, end) in enumerate(zip(masters, FIRST_SLOTS, ends, strict=False)):
            self.ask(address, "CLUSTER", "SET-CONFIG-EPOCH", epoch + 1)
            self.ask(address, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for address in addresses:
            for other in addresses:
                if address < other:
                    self.ask(address, "CLUSTER", "MEET", *other.split(":"), *self._bus(other))
        for master, replica in zip(masters, replicas, strict=True):
            name = self.ask(master, "CLUSTER", "MYID")
            wait_ready(partial(self._knows, replica, name), replica)
            self.ask(replica, "CLUSTER", "REPLICATE", name)
        wait_ready(self._is_well, "the cluster")

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    @staticmethod
    def _bus(address: str) -> tuple[int]:
        return (int(address.rpartition(":")[2]) + 1,)

    def _knows(self, address: str, name: str) -> bool:
        return name in self.ask(address, "CLUSTER", "NODES")

    def _is_well(self) -> bool:
        try:
            return not self._away and all(self._follows(address) for address in self.nodes)
        except RedisError:
            return False

    def _follows(self, address: str) -> bool:
        """A master of a replica that has all it has, or the replica; knowing the same as the first."""
        known = [self._known(each) for each in (address, next(iter(self.nodes)))]
        if len(known[0]) != len(FIRST_SLOTS) or known[0] != known[1]:
            return False
        role, *more = self.ask(address, "ROLE")
        if role == "slave":
            return bool(more[2] == "connected")
        return bool(len(more[1]) == 1 and more[0] - int(more[1][0][2]) < 1 << 20)

    def _known(self, address: str) -> dict[str, list[str]]:
        """Masters and their replicas."""
        if "cluster_state:ok" not in self.ask(address, "CLUSTER", "INFO"):
            return {}
        return {
            f"{nodes[0][0]}:{nodes[0][1]}": sorted(f"{host}:{port}" for host, port, *_ in nodes[1:])
            for _, _, *nodes in self.ask(address, "CLUSTER", "SLOTS")
        }


@contextmanager
def redis_cluster(**options: str) -> Iterator[RedisCluster]:
    """Running and well; `options` win over those of the nodes, in Redis's words with _ for -."""
    with ExitStack() as until_the_end:
        cluster = RedisCluster({})
        until_the_end.callback(cluster.close)
        for _ in range(2 * len(FIRST_SLOTS)):
            address, server = _node(**options)
            until_the_end.callback(server.runner.close)
            server.start()
            cluster.nodes[address] = server
        cluster.form()
        yield cluster


def _node(**options: str) -> tuple[str, RedisServer]:
    instance = prepared(free_ports(PORTS))
    port = instance.redis_port
    own = {
        "cluster_enabled": "yes",
        "cluster_port": str(port + 1),
        "cluster_node_timeout": str(NODE_TIMEOUT),
        "cluster_require_full_coverage": "no",
    }
    arguments = following(instance.redis_url("operator")) | own | options
    process = ServerProcess(
        "redis", instance, partial(redis_answers, port), *as_arguments(arguments)
    )
    return f"{LOOPBACK}:{port}", RedisServer(process, instance.redis_url("operator"))


def following(operator_url: str) -> dict[str, str]:
    """How a Redis comes in at its master; and it begins at once, instead of after some seconds."""
    login = urlsplit(operator_url)
    who = {"masteruser": str(login.username), "masterauth": unquote(str(login.password))}
    return who | {"repl_diskless_sync_delay": "0"}


def as_arguments(options: dict[str, str]) -> list[str]:
    return [
        word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)
    ]
