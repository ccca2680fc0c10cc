"""Every container that runs gets nothing that it doesn't need; read from the engine and /proc."""

import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.docker.cli import Container, docker, inspect
from tests.docker.stack import Stack
from tests.processes import PROC, descendants
from tests.services import ROOT

CHUNK = 1 << 20
SECRET = re.compile(r"PASSWORD|KEY|SECRET|TOKEN")
PINNED = re.compile(r"[\w./-]+:(?!latest$)[\w.-]*\d[\w.-]*")

# Docker's socket is root's: it has root's number, and none of root's rights.
NUMBERED_ROOT = {"socket-proxy"}

RULES: dict[str, Callable[[Container], bool]] = {
    "has a user of its own": lambda c: (
        c.inspected["Config"]["User"].partition(":")[0] not in ("", "0", "root")
        or c.service in NUMBERED_ROOT
    ),
    "can't write to its image": lambda c: c.host["ReadonlyRootfs"],
    "has no capability": lambda c: c.host["CapDrop"] == ["ALL"] and not c.host["CapAdd"],
    "gets no more than it has": lambda c: "no-new-privileges:true" in c.host["SecurityOpt"],
    "isn't privileged": lambda c: not c.host["Privileged"],
    "shares nothing with this machine": lambda c: (
        (c.host["PidMode"], c.host["UTSMode"], c.host["IpcMode"]) == ("", "", "private")
        and c.host["NetworkMode"] != "host"
    ),
    "has bounded memory": lambda c: c.host["Memory"] > 0,
    "has a bounded number of processes": lambda c: (c.host["PidsLimit"] or 0) > 0,
    "starts again by itself": lambda c: c.host["RestartPolicy"]["Name"] == "unless-stopped",
    "has its log rotated": lambda c: (
        c.host["LogConfig"]["Type"] == "json-file"
        and {"max-size", "max-file"} <= c.host["LogConfig"]["Config"].keys()
    ),
    "says how it is": lambda c: bool(c.inspected["Config"].get("Healthcheck")),
    "can't change its configuration": lambda c: (
        not [mount for mount in c.inspected["Mounts"] if mount["Type"] == "bind" and mount["RW"]]
    ),
    "has no fixed name": lambda c: bool(re.search(r"-\d+$", c.inspected["Name"])),
}
OF_WHAT_KEEPS_RUNNING = {"starts again by itself", "says how it is"}  # migrate ends


@pytest.mark.parametrize("rule", RULES)
def test_every_container(stack: Stack, rule: str) -> None:
    containers = stack.containers()
    assert {container.service for container in containers} == set(stack.services)
    if rule not in OF_WHAT_KEEPS_RUNNING:
        containers += stack.containers("migrate")
    assert not [container.service for container in containers if not RULES[rule](container)]


def test_every_process_runs_without_privileges(stack: Stack) -> None:
    """What the kernel says, after all that a container's own start has done."""
    for container in stack.containers():
        for pid in (container.pid, *descendants(container.pid)):
            status = dict(
                line.split(":\t") for line in (PROC / str(pid) / "status").read_text().splitlines()
            )
            own = "0" not in status["Uid"].split()
            assert own or container.service in NUMBERED_ROOT, container.service
            assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), container.service


def test_images_of_others_and_those_that_ours_begin_with_have_a_version(stack: Stack) -> None:
    services = stack.configuration["services"].values()
    images = [service["image"] for service in services if "build" not in service]
    for name in ("Dockerfile", "web/Dockerfile"):
        lines = (ROOT / name).read_text().splitlines()
        images += [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(images) > 4
    assert not [image for image in images if not PINNED.fullmatch(image)]


def test_no_image_of_ours_has_a_secret_in_its_environment_history_or_layers(stack: Stack) -> None:
    secrets = [value for name, value in stack.settings.items() if value and SECRET.search(name)]
    assert len(secrets) > 5
    images = [stack.one(service).inspected["Image"] for service in stack.built]
    said = [str(image["Config"]) for image in inspect("image", images)]
    said += [docker("history", "--no-trunc", image) for image in images]
    assert not [secret for secret in secrets for text in said if secret in text]

    words = [secret.encode() for secret in secrets]
    ours = b"one COPY every five seconds"  # would be found, so layers can be read
    found = {word for piece in layers(images) for word in (*words, ours) if word in piece}
    assert found == {ours}


def layers(images: list[str]) -> Iterator[bytes]:
    """All of their files and of those that a later layer has removed, in overlapping pieces."""
    with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:  # noqa: S603, S607  # as cli.docker
        assert saving.stdout
        kept = b""
        while piece := saving.stdout.read(CHUNK):
            yield kept + piece
            kept = piece[-100:]
    assert saving.returncode == 0
