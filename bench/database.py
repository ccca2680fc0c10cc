"""Database: a PostgreSQL of the bench's own, with the settings that are tried."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import quote

import asyncpg

from local.instance import LOOPBACK, ROOT, Instance
from local.postgres import SETTINGS, command, initialise, program, variable
from local.privileges import give_away, succeeds, unprivileged

FOLDER = ROOT / ".run" / "bench"
START_LIMIT = 60.0
LOOK_EVERY = 0.01


class Database:
    """The PostgreSQL of an instance; the first to use the instance's folder, which it empties."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def tried(cls, name: str, settings: Mapping[str, str]) -> Self:
        """PostgreSQL's own settings, but for those that are given."""
        given = {variable(each): settings.get(each, "") for each in SETTINGS}
        with socket.create_server((LOOPBACK, 0)) as free:
            port = free.getsockname()[1]
        offset = Instance(ROOT, 0, FOLDER).postgres_port
        return cls(Instance(ROOT, port - offset, FOLDER / name, {**os.environ, **given}))

    def create(self) -> None:
        """From nothing, with our tables and roles."""
        self.remove()
        self._instance.data.mkdir(parents=True)
        give_away(self._instance.data)
        initialise(self._instance)
        self.start()
        subprocess.run(
            [sys.executable, "-m", "migrate"],
            cwd=ROOT,
            env=self._instance.environment() | {"POSTGRES_DSN": self.owner_dsn},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.stop()

    def copy(self, other: "Database") -> None:
        """From what the other has, which doesn't run; on disk when this returns."""
        self.remove()
        shutil.copytree(other.files, self.files)
        give_away(self._instance.data)
        sync = [program(self._instance, "initdb"), "--sync-only", "-D", str(self.files)]
        subprocess.run(  # noqa: S603  # our own command line
            [*unprivileged(), *sync], check=True, stdout=subprocess.DEVNULL
        )

    @property
    def files(self) -> Path:
        return self._instance.data / "postgres"

    @property
    def owner_dsn(self) -> str:
        environment = self._instance.environment()
        user, database = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
        login = f"{user}:{quote(environment['POSTGRES_PASSWORD'], safe='')}"
        return f"postgresql://{login}@{LOOPBACK}:{self._instance.postgres_port}/{database}"

    def dsn(self, role: str) -> str:
        return self._instance.postgres_dsn(role)

    @property
    def pid(self) -> int:
        assert self._process, "it doesn't run"  # noqa: S101  # the caller started it
        return self._process.pid

    def ask(self, query: str) -> list[asyncpg.Record]:
        """As the owner, from outside of any event loop."""

        async def answer() -> list[asyncpg.Record]:
            owner = await asyncpg.connect(self.owner_dsn)
            try:
                return await owner.fetch(query)
            finally:
                await owner.close()

        return asyncio.run(answer())

    def start(self) -> float:
        """Return when it answers; how many seconds that took."""
        began = time.monotonic()
        log = self._instance.data / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own command line
                [*unprivileged(), *command(self._instance)],
                env=self._instance.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        ready = [program(self._instance, "pg_isready"), "-h", LOOPBACK]
        ready += ["-p", str(self._instance.postgres_port)]
        while not succeeds(ready):
            if self._process.poll() is not None or time.monotonic() - began > START_LIMIT:
                raise RuntimeError(f"PostgreSQL didn't start:\n{log.read_text()[-2000:]}")
            time.sleep(LOOK_EVERY)
        return time.monotonic() - began

    def stop(self) -> None:
        """Its last checkpoint done."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """No checkpoint: the next start has to go through the log."""
        self._end(signal.SIGQUIT)

    def forget(self) -> None:
        """Nothing of a stopped one is in this machine's memory."""
        for path in (self.files / "base").rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def remove(self) -> None:
        if self._process:
            self.crash()
        shutil.rmtree(self._instance.data, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(START_LIMIT)
            self._process = None


def ours() -> dict[str, str]:
    """The values of .env, or of the environment."""
    environment = Instance(ROOT, 0, FOLDER).environment()
    given = {each: environment.get(variable(each), "") for each in SETTINGS}
    return {name: value for name, value in given.items() if value}
