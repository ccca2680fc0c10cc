"""Containers: the servers as their official images, with the configuration that compose mounts."""

import gc
import warnings
from collections.abc import Callable
from contextlib import closing

import docker  # type: ignore[import-untyped]  # ships no types
from docker.errors import DockerException  # type: ignore[import-untyped]  # ships no types
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from local.instance import read_dotenv
from tests.servers import (
    LOOPBACK,
    CentrifugoServer,
    PostgresServer,
    RedisServer,
    centrifugo_answers,
    free_ports,
    migrate,
    postgres_answers,
    redis_answers,
    role_passwords,
    wait_ready,
)
from tests.services import ROOT

REDIS, POSTGRES, CENTRIFUGO = "redis:8", "postgres:18", "centrifugo/centrifugo:v6.9"
CONFIG = ROOT / "config"


class Container:
    """A container whose ports stay the same over a restart, unlike ports that Docker picks."""

    def __init__(self, container: DockerContainer, answers: Callable[[], bool]) -> None:
        self._container = container
        self._answers = answers
        self._created = False

    def start(self) -> None:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._created = True
            self._container.start()
        wait_ready(self._answers, self._container.image)

    def kill(self) -> None:
        container = self._container.get_wrapped_container()
        container.kill()
        container.wait()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    def close(self) -> None:
        self._container.stop()


class Containers:
    """Starts servers by a Docker engine that is there."""

    def __init__(self) -> None:
        testcontainers_config.ryuk_disabled = True  # one more image; every runner is closed anyway
        self._variables = read_dotenv(ROOT / ".env")

    def redis(self) -> RedisServer:
        port = free_ports(1)
        passwords = {k: v for k, v in self._variables.items() if k.startswith("REDIS_")}
        mounted = "/usr/local/etc/redis"
        container = DockerContainer(REDIS).with_envs(**passwords)
        server = ["redis-server", f"{mounted}/redis.conf"]
        container.with_command(["sh", f"{mounted}/start.sh", "/tmp/users.acl", *server])  # noqa: S108  # in the container
        container.with_volume_mapping(CONFIG / "redis", mounted)
        container.with_bind_ports(6379, port)
        login = f"operator:{passwords['REDIS_OPERATOR_PASSWORD']}"
        return RedisServer(
            _started(container, lambda: redis_answers(port)), f"redis://{login}@{LOOPBACK}:{port}/0"
        )

    def postgres(self) -> PostgresServer:
        port = free_ports(1)
        settings = {k: v for k, v in self._variables.items() if k.startswith("POSTGRES_")}
        user, database = settings["POSTGRES_USER"], settings["POSTGRES_DB"]
        container = DockerContainer(POSTGRES).with_envs(**settings)
        container.with_command(["postgres", "-c", "fsync=off"])  # tests kill processes only
        container.with_bind_ports(5432, port)
        login = f"{user}:{settings['POSTGRES_PASSWORD']}"
        server = PostgresServer(
            _started(container, lambda: postgres_answers(port, user, database)),
            f"postgresql://{login}@{LOOPBACK}:{port}/{database}",
            role_passwords(self._variables),
        )
        migrate(server)
        return server

    def centrifugo(self) -> CentrifugoServer:
        port = free_ports(2)
        key = self._variables["CENTRIFUGO_API_KEY"]
        mounted = "/centrifugo/config.json"
        container = DockerContainer(CENTRIFUGO).with_command(["centrifugo", "-c", mounted])
        container.with_env("CENTRIFUGO_HTTP_API_KEY", key)
        container.with_volume_mapping(CONFIG / "centrifugo" / "config.json", mounted)
        container.with_bind_ports(8000, port).with_bind_ports(9000, port + 1)
        return CentrifugoServer(
            _started(container, lambda: centrifugo_answers(port + 1)),
            api_url=f"http://{LOOPBACK}:{port + 1}/api",
            api_key=key,
            ws_url=f"ws://{LOOPBACK}:{port}/connection/websocket",
        )


def why_not() -> str | None:
    """None when an engine answers and has, or can get, every image; else what is missing."""
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        try:
            with closing(docker.from_env(timeout=60)) as client:
                for image in (REDIS, POSTGRES, CENTRIFUGO):
                    if not client.images.list(image):
                        client.images.pull(image)
        except DockerException as error:
            return str(error)
        finally:
            gc.collect()  # a refused docker client leaves its socket to the collector
    return None


def _started(container: DockerContainer, answers: Callable[[], bool]) -> Container:
    runner = Container(container, answers)
    try:
        runner.start()
    except BaseException:
        runner.close()
        raise
    return runner
