"""locate(): which Redis has the stream now, by the word of a Redis Cluster or of Sentinels."""

from random import sample
from typing import Any, NamedTuple
from urllib.parse import unquote

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot

from pipeline.addresses import Address
from pipeline.settings import Settings

ANSWER_LIMIT = 1.0  # seconds for each that is asked; the next one may know as much


class Nodes(NamedTuple):
    """Where a stream is."""

    master: Address
    replicas: tuple[Address, ...]  # of the master, in the order of their addresses
    others: tuple[Address, ...]  # masters of other streams

    @property
    def to_listen(self) -> tuple[Address, ...]:
        """Where to subscribe, the best first: one that may be the next master hears all till then.

        The master itself comes last: with it the subscription would be gone as well.
        """
        return (*self.replicas, *self.others, self.master)


async def locate(settings: Settings) -> Nodes:
    """The nodes of the stream that these settings are of, by the first that answers.

    Raises redis-py's ConnectionError if nobody does.
    """
    if settings.redis_sentinels:
        return await _ask_sentinels(settings)
    said = "it is nobody's"
    for node in sample(settings.redis_cluster, len(settings.redis_cluster)):
        try:
            slots = await _ask_slots(settings, node)
        except (exceptions.RedisError, OSError) as error:
            said = str(error) or type(error).__name__
            continue
        if found := _find(slots, key_slot(settings.stream.encode()), node):
            return found
    raise exceptions.ConnectionError(f"no node of REDIS_CLUSTER tells who has the stream: {said}")


def _once() -> dict[str, Any]:
    """How each is asked: the next one is asked instead of the same again."""
    limits = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), ANSWER_LIMIT)
    return {**limits, "retry": Retry(NoBackoff(), 0), "protocol": 2}


async def _ask_slots(settings: Settings, node: Address) -> list[Any]:
    url = settings.redis_url
    client = Redis(
        host=node[0],
        port=node[1],
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        ssl=url.scheme == "rediss",
        **_once(),
    )
    async with client:
        ask: Any = client  # its types know this command for its own cluster client only
        slots: list[Any] = await ask.execute_command("CLUSTER", "SLOTS")
        return slots


def _find(slots: list[Any], slot: int, asked: Address) -> Nodes | None:
    """None: nobody has that slot."""
    found = [(range(first, last + 1), _addresses(nodes, asked)) for first, last, *nodes in slots]
    ranges = [each for each in found if each[1]]
    for own, (master, *replicas) in ranges:
        if slot in own:
            others = sorted({nodes[0] for _, nodes in ranges} - {master})
            return Nodes(master, tuple(sorted(replicas)), tuple(others))
    return None


def _addresses(nodes: list[Any], asked: Address) -> list[Address]:
    """The master first; none if its name is "?", unknown. Without a name it is who was asked."""
    known = [node for node in nodes if node[0] != b"?"] if nodes[0][0] != b"?" else []
    return [(node[0].decode() if node[0] else asked[0], node[1]) for node in known]


async def _ask_sentinels(settings: Settings) -> Nodes:
    make: Any = Sentinel  # it has no types
    watch = make(list(settings.redis_sentinels), sentinel_kwargs=_once())
    try:
        master = await watch.discover_master(settings.redis_master)
        replicas = await watch.discover_slaves(settings.redis_master)
    finally:
        for sentinel in watch.sentinels:
            await sentinel.aclose()
    return Nodes(_plain(master), tuple(sorted(map(_plain, replicas))), ())


def _plain(address: tuple[Any, Any]) -> Address:
    host, port = address
    return host.decode() if isinstance(host, bytes) else host, int(port)
