"""RedisCluster: three masters, a replica of each, and what an operator does to them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import combinations

from redis.exceptions import RedisError

from tests.embedded import PORTS, ServerProcess, prepared
from tests.redis_nodes import LONGEST_FAILOVER, RedisNodes, following, login, words
from tests.servers import LOOPBACK, RedisServer, free_ports, redis_answers, wait_ready
from tests.waiting import wait_until

SLOTS = 16384
# The tags {0}, {1} and {2} are the slots 13907, 9842 and 5649: each of three shards has its master.
FIRST_SLOTS = (12000, 8000, 0)
NODE_TIMEOUT = 2000  # ms: what a busy machine bears; a failover takes one and a half of it


class RedisCluster(RedisNodes):
    """The first three are masters, until a test changes it."""

    def settings(self, user: str) -> dict[str, str]:
        """A service's: with the rights it has in the product."""
        return {"REDIS_CLUSTER": ",".join(self.nodes), "REDIS_URL": self.nowhere(user)}

    def places(self, key: str, asked: str = "") -> list[str]:
        """The master of the key, then its replicas, as one node knows them."""
        asked = asked or self.living[0]
        slot = self.ask(asked, "CLUSTER", "KEYSLOT", key)
        for first, last, *nodes in self.ask(asked, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return [f"{host}:{port}" for host, port, *_ in nodes]
        return []

    async def is_well(self) -> None:
        """Return once every node runs, agrees with all others, and follows or is followed."""
        await wait_until(self._is_well, LONGEST_FAILOVER, "the cluster is well")

    async def promoted(self, key: str, old: str) -> str:
        """The key's new master, once all living nodes know it."""

        def agreed() -> str | None:
            known = {each[0] for at in self.living if (each := self.places(key, at))}
            return known.pop() if len(known) == 1 and old not in known else None

        return await wait_until(agreed, LONGEST_FAILOVER, f"another master than {old}")

    async def fail_over(self, key: str) -> str:
        """As an operator does it before a master is to be stopped; the new master."""
        old, new = self.places(key)[:2]
        self.ask(new, "CLUSTER", "FAILOVER")
        return await self.promoted(key, old)

    def forget(self, address: str) -> None:
        """The others do. It goes on, follows its master, and gets no more of what is published."""
        name = self.ask(address, "CLUSTER", "MYID")
        self._away.add(address)
        for other in self.living:
            self.ask(other, "CLUSTER", "FORGET", name)

    async def move(self, key: str, target: str) -> None:
        """Its slot, with all that is in it, to another master: as `redis-cli --cluster` does it."""
        source = self.master(key)
        slot = self.ask(source, "CLUSTER", "KEYSLOT", key)
        names = {each: self.ask(each, "CLUSTER", "MYID") for each in (source, target)}
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        who = ("AUTH2", *login(self.nodes[target].url))
        host, port = target.split(":")
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.ask(source, "MIGRATE", host, port, "", 0, 5000, *who, "KEYS", *keys)
        for each in (target, source):
            self.ask(each, "CLUSTER", "SETSLOT", slot, "NODE", names[target])
        await self.promoted(key, source)

    def form(self) -> None:
        """Make a cluster of nodes that run and know nobody."""
        addresses = list(self.nodes)
        masters, replicas = addresses[:3], addresses[3:]
        ends = (SLOTS, *FIRST_SLOTS[:-1])
        for address, first, end in zip(masters, FIRST_SLOTS, ends, strict=True):
            self.ask(address, "CLUSTER", "SET-CONFIG-EPOCH", masters.index(address) + 1)
            self.ask(address, "CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for address, other in combinations(addresses, 2):
            host, port = other.split(":")
            self.ask(address, "CLUSTER", "MEET", host, port, int(port) + 1)
        for master, replica in zip(masters, replicas, strict=True):
            name = self.ask(master, "CLUSTER", "MYID")
            wait_ready(partial(self._knows, replica, name), replica)
            self.ask(replica, "CLUSTER", "REPLICATE", name)
        wait_ready(self._is_well, "the cluster")

    def _knows(self, address: str, name: str) -> bool:
        return name in self.ask(address, "CLUSTER", "NODES")

    def _is_well(self) -> bool:
        try:
            return not self._away and all(self._follows(address) for address in self.nodes)
        except RedisError:
            return False

    def _follows(self, address: str) -> bool:
        """A replica that has all, or the master of one; it knows the same as the first."""
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
        cluster = RedisCluster()
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
        "cluster-enabled": "yes",
        "cluster-port": str(port + 1),
        "cluster-node-timeout": str(NODE_TIMEOUT),
        "cluster-require-full-coverage": "no",
    }
    own |= following(instance.redis_url("operator"))
    own |= {name.replace("_", "-"): value for name, value in options.items()}
    process = ServerProcess("redis", instance, partial(redis_answers, port), *words(own))
    return f"{LOOPBACK}:{port}", RedisServer(process, instance.redis_url("operator"))
