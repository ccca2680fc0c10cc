"""RedisNodes: Redis processes that belong together, what they answer, and what happens to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.exceptions import RedisError

from tests.servers import RedisServer

LONGEST_FAILOVER = 30.0


@dataclass
class RedisNodes:
    """By their addresses, as host:port."""

    nodes: dict[str, RedisServer] = field(default_factory=dict)
    _away: set[str] = field(default_factory=set)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def living(self) -> list[str]:
        return [address for address in self.nodes if address not in self._away]

    def places(self, key: str, asked: str = "") -> list[str]:
        """The master of the key, then its replicas, as one that knows says it."""
        raise NotImplementedError

    def master(self, key: str) -> str:
        return self.places(key)[0]

    def replica(self, key: str) -> str:
        return self.places(key)[1]

    def url(self, key: str) -> str:
        """The operator's, of the key's master."""
        return self.nodes[self.master(key)].url

    def nowhere(self, user: str) -> str:
        """An address of nothing, with name and password of one of our services."""
        login = urlsplit(next(iter(self.nodes.values())).url_of(user)).netloc.rpartition("@")[0]
        return f"redis://{login}@nowhere:1"

    def ask(self, address: str, *command: str | int) -> Any:
        """What this node answers to the operator, as it answers it; text is str."""
        if address not in self._clients:
            url = self.nodes[address].url
            options: dict[str, Any] = {"decode_responses": True, "socket_timeout": 5}
            self._clients[address] = Redis.from_url(url, protocol=2, **options)
            self._clients[address].response_callbacks.clear()
        return self._clients[address].execute_command(*command)

    def appended(self, stream: str) -> int:
        """Entries that were ever added; 0 while nobody can tell."""
        try:
            info = self.ask(self.master(stream), "XINFO", "STREAM", stream)
        except RedisError:
            return 0
        return int(dict(zip(info[::2], info[1::2], strict=True))["entries-added"])

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

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def following(operator_url: str) -> dict[str, str]:
    """How a Redis comes in at its master; and it begins at once, instead of after some seconds."""
    user, password = login(operator_url)
    return {"masteruser": user, "masterauth": password, "repl-diskless-sync-delay": "0"}


def words(options: Mapping[str, str]) -> list[str]:
    """Settings as a Redis takes them behind its program's name."""
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def login(url: str) -> tuple[str, str]:
    """Name and password."""
    parts = urlsplit(url)
    return str(parts.username), unquote(str(parts.password))
