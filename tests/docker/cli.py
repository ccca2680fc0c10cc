"""docker(): the command that users have, and what it says of containers."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.services import ROOT

LIMIT = 300.0  # seconds: a build on an empty cache
LAST_WORDS = 3000


class DockerFailed(Exception):
    """A command's exit code wasn't 0; the text is its output's end."""


def docker(*words: str, variables: Mapping[str, str] | None = None) -> str:
    """Its standard output."""
    return run(*words, variables=variables, stderr=subprocess.PIPE).stdout


def docker_all(*words: str, variables: Mapping[str, str] | None = None) -> str:
    """Both of its outputs, as a screen shows them."""
    return run(*words, variables=variables, stderr=subprocess.STDOUT).stdout


def run(
    *words: str, variables: Mapping[str, str] | None, stderr: int
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603  # our own words
        ["docker", *words],  # noqa: S607  # as the caller's PATH finds it
        cwd=ROOT,
        env=os.environ if variables is None else variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode:
        output = ((done.stderr or "") + done.stdout)[-LAST_WORDS:]
        raise DockerFailed(f"docker {' '.join(words)}: exit {done.returncode}\n{output}")
    return done


def inspect(kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    return list(json.loads(docker(kind, "inspect", *names))) if names else []


@dataclass(frozen=True)
class Container:
    """What `docker inspect` said of a container at one moment."""

    inspected: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.inspected["Id"])

    @property
    def service(self) -> str:
        return str(self.inspected["Config"]["Labels"]["com.docker.compose.service"])

    @property
    def host_name(self) -> str:
        return str(self.inspected["Config"]["Hostname"])

    @property
    def pid(self) -> int:
        """0 while it doesn't run."""
        return int(self.inspected["State"]["Pid"])

    @property
    def restarts(self) -> int:
        return int(self.inspected["RestartCount"])

    @property
    def health(self) -> str:
        """healthy, unhealthy or starting; the state, where it doesn't run or has no check."""
        state = self.inspected["State"]
        if state["Status"] != "running" or "Health" not in state:
            return str(state["Status"])
        return str(state["Health"]["Status"])

    @property
    def host(self) -> dict[str, Any]:
        """What the engine allows and denies it."""
        return dict(self.inspected["HostConfig"])

    @property
    def addresses(self) -> dict[str, str]:
        """By the network's name without the project's."""
        project = self.inspected["Config"]["Labels"]["com.docker.compose.project"]
        return {
            name.removeprefix(f"{project}_"): network["IPAddress"]
            for name, network in self.inspected["NetworkSettings"]["Networks"].items()
        }
