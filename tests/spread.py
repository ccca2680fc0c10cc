"""Spread: the whole system, each of its parts on a host of its own."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from local.servers import initialise_postgres
from tests.embedded import ServerProcess, prepared
from tests.hosts import Host, Network, network
from tests.redis_hosts import ANY, RedisHosts, redis_hosts
from tests.servers import PostgresServer, migrate, postgres_answers, role_passwords
from tests.services import Service
from tests.two_feeds import Node, centrifugo_node, feed_redis

FIRST_PORT = 8000  # each host has all ports for itself
FLUSH = 2.0  # seconds, below the product's five: a batch is in hand all the same

Environment = dict[str, object]


class Placed(NamedTuple):
    """One of our services, and the host it is on."""

    service: Service
    host: Host


class Feed(NamedTuple):
    """A Centrifugo, and the host it is on."""

    node: Node
    host: Host


@dataclass(frozen=True)
class Spread:
    """Running. The test itself is where the publisher and the forwarder are."""

    network: Network
    redis: RedisHosts
    postgres: PostgresServer
    feeds: tuple[Feed, Feed]
    bridges: tuple[Placed, Placed]
    writers: tuple[Placed, Placed]
    forwarder: Service


@contextmanager
def spread() -> Iterator[Spread]:
    """All of it, on hosts of its own; raises OSError where there can be none."""
    with ExitStack() as until_the_end:
        made = until_the_end.enter_context(network())
        market = made.host()
        until_the_end.enter_context(market.inside())
        site = _Site(made, until_the_end)
        with ThreadPoolExecutor() as together:
            its_postgres, its_redis = together.submit(site.postgres), together.submit(site.redis)
            feeds = site.feeds()
        postgres, redis = its_postgres.result(), its_redis.result()

        def place(name: str, own: Environment, host: Host | None = None) -> Placed:
            there: Environment = {"REDIS_URL": redis.url_of(name), "REDIS_CLUSTER": redis.addresses}
            return site.service(name, own | there, host)

        table: Environment = {"POSTGRES_DSN": postgres.dsn("writer"), "FLUSH_INTERVAL": FLUSH}
        centrifugo: Environment = {
            "CENTRIFUGO_API_URL": ",".join(feed.node.server.api_url for feed in feeds),
            "CENTRIFUGO_API_KEY": feeds[0].node.server.api_key,
            "FORWARDER_MAX_LAG": 0,  # what is late is shown all the same: so it can be counted
        }
        yield Spread(
            network=made,
            redis=redis,
            postgres=postgres,
            feeds=feeds,
            bridges=(place("bridge", {}), place("bridge", {})),
            writers=(
                place("writer", table | {"CONSUMER": "a"}),
                place("writer", table | {"CONSUMER": "b"}),
            ),
            forwarder=place("forwarder", centrifugo, market).service,
        )


class _Site:
    """Puts things on hosts, and takes them away in the end."""

    def __init__(self, made: Network, until_the_end: ExitStack) -> None:
        self._host = made.host
        self._until_the_end = until_the_end

    def postgres(self) -> PostgresServer:
        host, instance = self._host(), prepared(FIRST_PORT)
        initialise_postgres(instance)
        with (instance.data / "postgres" / "pg_hba.conf").open("a") as others:
            others.write("host all all all scram-sha-256\n")  # as the image has it
        environment, port = instance.environment(), instance.postgres_port
        user, database = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
        options = ("-c", f"listen_addresses={ANY}", "-c", "fsync=off")
        answers = partial(postgres_answers, port, user, database)
        process = self.server(host, ServerProcess("postgres", instance, answers, *options))
        login = f"{user}:{environment['POSTGRES_PASSWORD']}"
        dsn = f"postgresql://{login}@{host.address}:{port}/{database}"
        server = PostgresServer(process, dsn, role_passwords(environment))
        migrate(server)
        return server

    def redis(self) -> RedisHosts:
        cluster = redis_hosts([self._host() for _ in range(3)], self.server)
        asyncio.run(cluster.form())
        return cluster

    def feeds(self) -> tuple[Feed, Feed]:
        shared = self._host()
        process, redis = feed_redis(FIRST_PORT, shared.address, "--bind", ANY)
        self.server(shared, process)
        return self._feed(redis.url), self._feed(redis.url)

    def _feed(self, redis_url: str) -> Feed:
        host = self._host()
        process, node = centrifugo_node(FIRST_PORT, host.address, redis_url)
        self.server(host, process)
        return Feed(node, host)

    def server(self, host: Host, process: ServerProcess) -> ServerProcess:
        self._until_the_end.callback(process.close)
        with host.inside():
            process.start()
        return process

    def service(self, name: str, environment: Environment, host: Host | None) -> Placed:
        """On that host, else on one of its own."""
        where = host or self._host()
        with where.inside():
            service = Service(name, **environment)
        self._until_the_end.callback(service.close)
        return Placed(service, where)
