"""Pooler: a real PgBouncer before a PostgreSQL, with the product's own settings."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.privileges import give_away, unprivileged
from tests.servers import LOOPBACK, PostgresServer, free_ports, postgres_answers, wait_ready
from tests.services import ROOT

START = ROOT / "config" / "pgbouncer" / "start.sh"
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin"  # an ordinary user's PATH lacks Debian's place
STOP_LIMIT = 10.0

# More sessions than one, taken in turns: what a transaction left in the last one is missed in the
# next. Two, so that whoever comes third waits.
TURNS = """\
server_round_robin = 1
default_pool_size = 2
"""


class Pooler:
    """A PgBouncer that a test may take away and bring back."""

    def __init__(self, server: PostgresServer) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pipeline-test-"))
        give_away(self._folder)
        self._server = server
        self._port = free_ports(1)
        self._program = find_pgbouncer()
        self._process: subprocess.Popen[bytes] | None = None

    def dsn(self, role: str) -> str:
        """The address for one of our services, by way of it."""
        url = urlsplit(self._server.dsn(role))
        login, _, _ = url.netloc.rpartition("@")
        return url._replace(netloc=f"{login}@{LOOPBACK}:{self._port}").geturl()

    def start(self) -> None:
        turns = self._folder / "turns.ini"
        turns.write_text(TURNS)
        url = urlsplit(self._server.owner_dsn)
        passwords = self._server.passwords
        # The settings of the test come last: the file that start.sh writes, and then these.
        also = 'cat "$0" >>"$2" && exec "$1" "$2"'
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [
                    *(*unprivileged(), "sh", str(START), str(self._folder)),
                    *("sh", "-c", also, str(turns), self._program),
                ],
                env={
                    "PATH": os.environ["PATH"],
                    "POSTGRES_HOST": LOOPBACK,
                    "POSTGRES_PORT": str(url.port),
                    "PGBOUNCER_HOST": LOOPBACK,
                    "PGBOUNCER_PORT": str(self._port),
                    "POSTGRES_WRITER_PASSWORD": passwords["writer"],
                    "POSTGRES_API_PASSWORD": passwords["api"],
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        database = url.path.removeprefix("/")
        wait_ready(lambda: postgres_answers(self._port, "writer", database), "pgbouncer")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """It is gone when this returns."""
        if self._process:
            self._process.send_signal(number)
            self._process.wait(STOP_LIMIT)
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def pooling(server: PostgresServer) -> Iterator[Pooler]:
    pooler = Pooler(server)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.close()


def find_pgbouncer() -> str:
    """On PATH, else Debian's package; skips the test where neither is, and says why."""
    if found := shutil.which("pgbouncer", path=PLACES):
        return found
    if not shutil.which("apt-get") or os.geteuid() != 0:
        pytest.skip("no pgbouncer on PATH; installing it needs Debian, and root")
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "--yes"]
    install += ["--no-install-recommends", "pgbouncer"]
    if not _succeeds(install) and not (_succeeds(["apt-get", "update"]) and _succeeds(install)):
        pytest.skip("no pgbouncer on PATH, and apt-get can't install it")
    _succeeds(["service", "pgbouncer", "stop"])  # where a package starts what it brings
    found = shutil.which("pgbouncer", path=PLACES)
    assert found
    return found


def _succeeds(line: list[str]) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(line, env=environment, capture_output=True, check=False)  # noqa: S603 - our own words
    return done.returncode == 0
