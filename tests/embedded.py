"""Embedded: the local system's servers as processes of the test run, each with its own data."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from local.instance import Instance
from local.postgres import program
from local.servers import command, initialise_postgres, prepare, unprivileged
from tests.processes import alive, descendants, signal_tree
from tests.servers import (
    LOOPBACK,
    POLL_EVERY,
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

PORTS = 7  # of an instance, whichever of its servers run
STOP_LIMIT = 10.0


class ServerProcess:
    """One server of an instance; its output goes to a file that a failed start shows."""

    def __init__(
        self,
        name: str,
        instance: Instance,
        answers: Callable[[], bool],
        *options: str,
        by: Sequence[str] = (),
        line: Sequence[str] = (),
        **variables: str,
    ) -> None:
        """`by`: what starts it; `line`: what is started, instead of what the instance says.

        `variables` win over the instance's.
        """
        self._name = name
        self._instance = instance
        self._answers = answers
        self._command = [*unprivileged(), *by, *(line or command(name, instance)), *options]
        self._variables = variables
        self._log = instance.data / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._spawn()
        wait_ready(self._answered, self._name)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        signal_tree(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        signal_tree(self._pid, signal.SIGCONT)

    def close(self) -> None:
        if self._process:
            self.resume()
            # PostgreSQL's immediate shutdown; it waits for no client and leaves no child
            self._end(signal.SIGQUIT if self._name == "postgres" else signal.SIGTERM)
        shutil.rmtree(self._instance.data, ignore_errors=True)

    @property
    def _pid(self) -> int:
        assert self._process, f"{self._name} doesn't run"
        return self._process.pid

    def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own command line
                self._command,
                cwd=ROOT,
                env=self._instance.environment() | self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _answered(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise RuntimeError(f"{self._name} ended:\n{self._log.read_text()[-2000:]}")
        return self._answers()

    def _end(self, number: signal.Signals) -> None:
        """Return when it and its children are gone."""
        assert self._process
        family = [self._pid, *descendants(self._pid)]
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            signal_tree(self._pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
        deadline = time.monotonic() + STOP_LIMIT
        while any(alive(pid) for pid in family) and time.monotonic() < deadline:
            time.sleep(POLL_EVERY)


class Embedded:
    """Starts servers that came as packages; needs nothing but `python3 -m local install`."""

    def redis(self) -> RedisServer:
        instance = self._instance()
        port = instance.redis_port
        process = ServerProcess("redis", instance, lambda: redis_answers(port))
        process.start()
        return RedisServer(process, instance.redis_url("operator"))

    def postgres(self) -> PostgresServer:
        instance = self._instance()
        initialise_postgres(instance)
        environment = instance.environment()
        user, database = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
        port = instance.postgres_port
        process = ServerProcess(
            "postgres",
            instance,
            lambda: postgres_answers(port, user, database),
            *("-c", "fsync=off"),  # tests kill processes, not machines
        )
        process.start()
        login = f"{user}:{environment['POSTGRES_PASSWORD']}"
        owner_dsn = f"postgresql://{login}@{LOOPBACK}:{port}/{database}"
        server = PostgresServer(process, owner_dsn, role_passwords(environment))
        migrate(server)
        return server

    def replica(self, primary: PostgresServer) -> PostgresServer:
        """A streaming replica of a server of ours, made by the script that Compose uses."""
        instance = self._instance()
        url = urlsplit(primary.owner_dsn)
        programs = Path(program(instance, "postgres")).parent
        followed = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGDATA": str(instance.data / "postgres"),
            "PGHOST": LOOPBACK,
            "PGPORT": str(url.port),
            "PGUSER": "replica",
            "PGPASSWORD": primary.passwords["replica"],
            "PGDATABASE": url.path.removeprefix("/"),
        }
        instance = replace(instance, variables={**instance.variables, **followed})
        port = instance.postgres_port
        process = ServerProcess(
            "postgres",
            instance,
            lambda: postgres_answers(port, str(url.username), followed["PGDATABASE"]),
            *("-c", "fsync=off"),
            by=["sh", str(ROOT / "config" / "postgres" / "replica.sh")],
        )
        process.start()
        own = url._replace(netloc=url.netloc.replace(f":{url.port}", f":{port}"))
        return PostgresServer(process, own.geturl(), primary.passwords)

    def centrifugo(self) -> CentrifugoServer:
        instance = self._instance()
        internal_port = instance.centrifugo_internal_port
        process = ServerProcess("centrifugo", instance, lambda: centrifugo_answers(internal_port))
        process.start()
        environment = instance.environment()
        return CentrifugoServer(
            process,
            api_url=environment["CENTRIFUGO_API_URL"],
            api_key=environment["CENTRIFUGO_API_KEY"],
            ws_url=f"ws://{LOOPBACK}:{instance.centrifugo_port}/connection/websocket",
        )

    @staticmethod
    def _instance() -> Instance:
        return prepared(free_ports(PORTS))


def prepared(http_port: int, **variables: str) -> Instance:
    """An instance with data of its own; which of its servers run is the caller's business."""
    # not pytest's own temporary folder: root alone may enter that, and servers may be nobody
    data = Path(tempfile.mkdtemp(prefix="pipeline-test-"))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PG_BIN") if name in os.environ}
    instance = Instance(root=ROOT, http_port=http_port, data=data, variables=kept | variables)
    prepare(instance)
    return instance
