"""Faults: what is done to the system, drawn by a seed; each is over when its function returns."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial

import asyncpg

from tests.chaos.clock_faults import clock_faults
from tests.chaos.disk import full
from tests.chaos.network_faults import network_faults
from tests.chaos.scene import BACK_LIMIT, Fault, Scene
from tests.chaos.stack import SERVERS, SERVICES
from tests.processes import descendants

EVERYBODY = (*SERVICES, *SERVERS, "nginx")
MANY_PROCESSES = ("postgres", "nginx")
CLIENTS = ("bridge", "forwarder", "writer", "api")
# Seconds: shorter and longer than a bridge's lease (1 s).
PAUSES, FREEZES = (0.1, 0.8), (1.5, 4.0)
LONGER_THAN_A_FLUSH, SHORTLY = (0.7, 1.2), (0.2, 0.4)
HELPS, FULL = (2.0, 6.0), (3.0, 6.0)  # a replica that was added; a disk
LONGEST_CUT = 50_000  # bytes: less than a second of appends
# Only a bridge that remembers what it appended can heal these: drawn when they are named.
NEED_A_RING = ("flushall", "cut-aof:redis")
NEEDS_ROOT = "full:postgres"  # and a small disk, which a long run would fill: named, too
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"


async def end(number: signal.Signals, name: str, scene: Scene) -> None:
    """It ends, and is started again as soon as it has."""
    name = scene.one_of(name)
    member = scene.stack.members[name]
    starts = member.starts
    children = descendants(member.pid)
    member.send(number)
    if number == signal.SIGKILL:
        for child in children:  # what was paused would not notice
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    await scene.is_back(name, starts)


async def stop(seconds: tuple[float, float], name: str, scene: Scene) -> None:
    """Its connections stay open, and nobody answers."""
    name = scene.one_of(name)
    member = scene.stack.members[name]
    send = member.send_all if name in MANY_PROCESSES else member.send
    send(signal.SIGSTOP)
    try:
        await scene.some(seconds)
    finally:
        send(signal.SIGCONT)


async def kill_both(name: str, server: str, scene: Scene) -> None:
    """The server too: one that lived would read what it was sent, and do it."""
    members = scene.stack.members
    members[server].send_all(signal.SIGSTOP)
    await scene.some(LONGER_THAN_A_FLUSH)
    ends = [asyncio.create_task(end(signal.SIGKILL, each, scene)) for each in (name, server)]
    await asyncio.gather(*ends)


async def kill_before_ack(name: str, server: str, scene: Scene) -> None:
    """The server has done its work, and Redis, killed too, hasn't read that: all comes again."""
    members = scene.stack.members
    members[server].send_all(signal.SIGSTOP)
    try:
        await scene.some(LONGER_THAN_A_FLUSH)
        members["redis"].send(signal.SIGSTOP)
    finally:
        members[server].send_all(signal.SIGCONT)
    await scene.some(SHORTLY)
    ends = [asyncio.create_task(end(signal.SIGKILL, each, scene)) for each in (name, "redis")]
    await asyncio.gather(*ends)


async def scale(service: str, scene: Scene) -> None:
    """One more for a while; it ends as asked, or with what it had in hand."""
    name = scene.stack.add(service)
    await scene.some(HELPS)
    how = scene.random.choice((signal.SIGTERM, signal.SIGKILL))
    await scene.stack.remove(name, how, BACK_LIMIT)


async def fill_disk(scene: Scene) -> None:
    """Nothing can be stored for a while; PostgreSQL may die of it, and again at each start."""
    with full(scene.stack.postgres_data):
        await scene.some(FULL)
    await scene.is_back("postgres", 0)


async def flush(scene: Scene) -> None:
    async with scene.redis() as redis:
        await redis.flushall()


async def cut_aof(scene: Scene) -> None:
    """Redis dies and has forgotten its newest appends, as when its machine dies."""
    stack = scene.stack
    stack.held.add("redis")
    try:
        stack.members["redis"].send(signal.SIGKILL)
        await asyncio.to_thread(stack.members["redis"].wait, BACK_LIMIT)
        newest = max((stack.instance.data / "redis").rglob("*.incr.aof"))
        size = newest.stat().st_size
        os.truncate(newest, size - min(size, scene.random.randint(1, LONGEST_CUT)))
    finally:
        stack.held.discard("redis")
    await scene.is_back("redis", stack.members["redis"].starts)


async def cut_clients(user: str, scene: Scene) -> None:
    """Both kinds: that of a subscriber has a name of its own."""
    async with scene.redis() as redis:
        for kind in ("normal", "pubsub"):
            await redis.execute_command("CLIENT", "KILL", "USER", user, "TYPE", kind)


async def pause_clients(scene: Scene) -> None:
    """Redis answers nobody, as while it saves or is short of CPU."""
    milliseconds = scene.random.randint(200, 2500)
    async with scene.redis() as redis:
        await redis.execute_command("CLIENT", "PAUSE", milliseconds, "ALL")
        await redis.ping()


async def terminate_backends(role: str, scene: Scene) -> None:
    with suppress(OSError, asyncpg.PostgresError):
        connection = await asyncpg.connect(scene.owner_dsn, timeout=5)
        try:
            await connection.execute(TERMINATE, role)
        finally:
            await connection.close()


def faults() -> dict[str, Fault]:
    """All kinds by name, in a fixed order: a seed draws from it."""
    found: dict[str, Fault] = {}
    for name in EVERYBODY:
        found[f"kill:{name}"] = partial(end, signal.SIGKILL, name)
        found[f"term:{name}"] = partial(end, signal.SIGTERM, name)
        found[f"pause:{name}"] = partial(stop, PAUSES, name)
        found[f"freeze:{name}"] = partial(stop, FREEZES, name)
    found["immediate:postgres"] = partial(end, signal.SIGQUIT, "postgres")
    for user in CLIENTS:
        found[f"client-kill:{user}"] = partial(cut_clients, user)
    for name, server in (("writer", "postgres"), ("forwarder", "centrifugo")):
        found[f"kill-both:{name}"] = partial(kill_both, name, server)
        found[f"kill-before-ack:{name}"] = partial(kill_before_ack, name, server)
    found["flushall"] = flush
    found["cut-aof:redis"] = cut_aof
    found["client-pause"] = pause_clients
    found["terminate:writer"] = partial(terminate_backends, "writer")
    found["terminate:api"] = partial(terminate_backends, "api")
    # Until a second SIGTERM PostgreSQL waits for its clients to leave, and they don't.
    del found["term:postgres"]
    found["fast:postgres"] = partial(end, signal.SIGINT, "postgres")
    for service in ("writer", "forwarder"):
        found[f"scale:{service}"] = partial(scale, service)
    return found | network_faults() | {NEEDS_ROOT: fill_disk} | clock_faults()
