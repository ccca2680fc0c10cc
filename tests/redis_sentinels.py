"""RedisSentinels: a master, its replicas and three Sentinels that watch them, as processes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

from redis.exceptions import RedisError

from local.instance import Instance
from local.privileges import give_away
from local.servers import command
from tests.embedded import PORTS, ServerProcess, prepared
from tests.redis_nodes import LONGEST_FAILOVER, RedisNodes, following, login
from tests.servers import LOOPBACK, RedisServer, free_ports, redis_answers, wait_ready
from tests.services import ROOT
from tests.waiting import wait_until

MASTER = "pipeline"
SENTINELS, QUORUM = 3, 2
DOWN_AFTER = 1500  # ms: what a busy machine bears
SETTINGS = ROOT / "config" / "redis" / "redis.conf"


@dataclass
class RedisSentinels(RedisNodes):
    """The first is the master, until a test changes it."""

    watch: RedisNodes = field(default_factory=RedisNodes)

    def settings(self, user: str) -> dict[str, str]:
        """A service's: with the rights it has in the product."""
        return {"REDIS_SENTINELS": ",".join(self.watch.nodes), "REDIS_URL": self.nowhere(user)}

    def places(self, key: str, asked: str = "") -> list[str]:  # noqa: ARG002 - all keys are there
        """The master, then its replicas that are well, as a Sentinel knows them; for any key."""
        asked = asked or self.watch.living[0]
        host, port = self.watch.ask(asked, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        found = [f"{host}:{port}"]
        for fields in self.watch.ask(asked, "SENTINEL", "REPLICAS", MASTER):
            replica = dict(zip(fields[::2], fields[1::2], strict=True))
            if "down" not in replica["flags"] and replica["master-link-status"] == "ok":
                found.append(replica["name"])
        return found

    async def promoted(self, old: str) -> str:
        """The new master, once all Sentinels know it."""

        def agreed() -> str | None:
            known = {self.places(MASTER, at)[0] for at in self.watch.living}
            return known.pop() if len(known) == 1 and old not in known else None

        return await wait_until(agreed, LONGEST_FAILOVER, f"another master than {old}")

    async def hand_over(self) -> str:
        """As an operator does it with Valkey 9; the new master, which has all of the old one."""
        old = self.master(MASTER)
        self.watch.ask(self.watch.living[0], "SENTINEL", "FAILOVER", MASTER, "COORDINATED")
        return await self.promoted(old)

    def close(self) -> None:
        self.watch.close()
        super().close()

    def is_watched(self) -> bool:
        """All Sentinels know each other and all nodes: from here on a failover is possible."""
        try:
            known = [sorted(self.places(MASTER, at)) for at in self.watch.living]
        except (RedisError, KeyError):
            return False
        ask = self.watch.ask
        others = [len(ask(at, "SENTINEL", "SENTINELS", MASTER)) for at in self.watch.living]
        return known == [sorted(self.nodes)] * SENTINELS and others == [SENTINELS - 1] * SENTINELS


@contextmanager
def redis_sentinels(replicas: int = 1) -> Iterator[RedisSentinels]:
    """Running and well."""
    with ExitStack() as until_the_end:
        found = RedisSentinels()
        until_the_end.callback(found.close)

        def start(server: RedisServer) -> RedisServer:
            until_the_end.callback(server.runner.close)
            server.start()
            return server

        for _ in range(1 + replicas):
            instance = prepared(free_ports(PORTS))
            address = f"{LOOPBACK}:{instance.redis_port}"
            found.nodes[address] = start(_node(instance, next(iter(found.nodes), "")))
        master, server = next(iter(found.nodes.items()))
        for _ in range(SENTINELS):
            instance = prepared(free_ports(PORTS))
            address = f"{LOOPBACK}:{instance.redis_port}"
            found.watch.nodes[address] = start(_sentinel(instance, master, server.url))
        wait_ready(found.is_watched, "Sentinel")
        yield found


def _node(instance: Instance, master: str) -> RedisServer:
    """Sentinel has it rewrite its file, so it has one of its own."""
    url = instance.redis_url("operator")
    lines = [SETTINGS.read_text(), *(f"{name} {value}" for name, value in following(url).items())]
    if master:
        lines.append(f"replicaof {master.replace(':', ' ')}")
    own = _file(instance, "redis.conf", lines)
    line = [own if word == str(SETTINGS) else word for word in command("redis", instance)]
    answers = partial(redis_answers, instance.redis_port)
    return RedisServer(ServerProcess("redis", instance, answers, line=line), url)


def _sentinel(instance: Instance, master: str, operator_url: str) -> RedisServer:
    user, password = login(operator_url)
    host, port = master.split(":")
    lines = [
        f"bind {LOOPBACK}",
        f"port {instance.redis_port}",
        f"dir {instance.data / 'redis'}",
        f"sentinel monitor {MASTER} {host} {port} {QUORUM}",
        f"sentinel auth-user {MASTER} {user}",
        f"sentinel auth-pass {MASTER} {password}",
        f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}",
        f"sentinel failover-timeout {MASTER} 10000",
    ]
    server = next(word for word in command("redis", instance) if word.endswith("-server"))
    line = [server, _file(instance, "sentinel.conf", lines), "--sentinel"]
    answers = partial(redis_answers, instance.redis_port)
    process = ServerProcess("sentinel", instance, answers, line=line)
    return RedisServer(process, f"redis://{LOOPBACK}:{instance.redis_port}")


def _file(instance: Instance, name: str, lines: list[str]) -> str:
    path = instance.data / "redis" / name
    path.write_text("\n".join(lines) + "\n")
    give_away(instance.data)
    return str(path)
