"""Service: one of our services as a real process, its JSON lines, and its exit code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import orjson

from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
STOP_LIMIT = 15.0  # above the 10 s that a service may take

Event = dict[str, Any]
StartService = Callable[..., "Service"]
"""start("writer", REDIS_URL=…, POSTGRES_DSN=…): what the fixture `service` gives."""


class Service:
    """`python -m NAME` with the given environment and nothing else of ours."""

    def __init__(self, name: str, *arguments: str, **environment: object) -> None:
        self.name = name
        self.events: list[Event] = []
        self.noise: list[str] = []  # lines that aren't JSON: there should be none
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", name, *arguments],
            cwd=ROOT,
            env=_surroundings() | {key: str(value) for key, value in environment.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def find(self, event: str, since: int = 0, **fields: object) -> Event | None:
        """The first event of that name whose fields equal, or satisfy, what is given."""
        return next((e for e in self.events[since:] if _matches(e, event, fields)), None)

    async def wait_for(
        self, event: str, limit: float = 10.0, since: int = 0, **fields: object
    ) -> Event:
        """As `find`, once it has happened; `since` (an index of events) skips what was before."""

        def happened() -> Event | None:
            found = self.find(event, since, **fields)
            if found is None and not self.running and not self._reader.is_alive():
                raise AssertionError(f"{self.name} ended without {event!r}\n{self.transcript()}")
            return self.find(event, since, **fields)

        found = await wait_until(happened, limit, f"{self.name}: {event} {fields or ''}")
        assert found is not None
        return found

    async def exit_code(self, limit: float = STOP_LIMIT) -> int:
        """The exit code, once it has ended by itself and all of its output is read."""
        await wait_until(lambda: not self.running, limit, f"{self.name} has ended")
        self._reader.join(limit)
        return self._process.wait()

    async def terminate(self, limit: float = STOP_LIMIT) -> int:
        """SIGTERM, as every supervisor does it, and the exit code."""
        self._process.terminate()
        return await self.exit_code(limit)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; it has ended when this returns."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def close(self) -> None:
        """Whatever state a test left it in, nothing stays behind."""
        self.kill()
        assert self._process.stdout
        self._process.stdout.close()

    def transcript(self) -> str:
        lines = [*self.noise, *(orjson.dumps(e).decode() for e in self.events[-20:])]
        return "\n".join(lines)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            try:
                self.events.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                self.noise.append(line.decode(errors="replace").rstrip())


def _surroundings() -> dict[str, str]:
    """What a process needs to run and to be measured; none of the developer's own settings."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {k: v for k, v in os.environ.items() if k in kept or k.startswith("COV")}


def _matches(candidate: Event, event: str, fields: dict[str, object]) -> bool:
    if candidate["event"] != event:
        return False
    return (
        all(
            wanted(candidate[key]) if callable(wanted) else candidate[key] == wanted
            for key, wanted in fields.items()
            if key in candidate
        )
        and fields.keys() <= candidate.keys()
    )
