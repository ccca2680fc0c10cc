"""Starts the system in the foreground: this process becomes process-compose."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from local import occupied, output, privileges, processes, python_packages, servers
from local.go_tools import BIN
from local.install import install
from local.instance import CannotRun
from local.work import say

if TYPE_CHECKING:
    from local.instance import Instance

PROCESS_COMPOSE = str(BIN / "process-compose")


def up(instance: Instance) -> NoReturn:
    occupied.claim(instance)
    occupied.check_ports(instance)
    install(dev=False)
    prefix = privileges.unprivileged()
    privileges.check_access(python_packages.PYTHON, instance.root)
    servers.prepare(instance)
    (instance.run_files / "process-compose").mkdir()  # its own settings: none, or it complains
    file = instance.run_files / "process-compose.json"
    file.touch(mode=0o600)  # it carries the passwords
    file.write_text(processes.configuration(instance))
    privileges.give_away(instance.data)
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # one per browser, twice
    log = str(instance.run_files / "process-compose.log")
    line = [*prefix, PROCESS_COMPOSE, *_socket(instance), "-f", str(file), "-L", log, "--tui=false"]
    output.outlive_reader()
    say(f"starting on {instance.url} ...")
    os.chdir(instance.root)
    os.execvpe(line[0], line, _environment(instance))  # noqa: S606  # no shell


def control(instance: Instance, arguments: list[str]) -> NoReturn:
    """process-compose's own client, for this instance."""
    if not Path(PROCESS_COMPOSE).exists():
        raise CannotRun("nothing is installed yet: `python3 -m local install`")
    os.chdir(instance.root)
    line = [PROCESS_COMPOSE, *_socket(instance), *arguments]
    os.execve(line[0], line, _environment(instance))  # noqa: S606  # no shell


def announce(instance: Instance) -> None:
    """What the screen shows last, when everything is well."""
    say(f"The page:  {instance.url}")
    say(f"The data:  curl {instance.url}/api/stocks")
    say("To stop:   Ctrl-C here")


def _socket(instance: Instance) -> list[str]:
    """A file, so no port is opened; relative, because a socket's path must be short."""
    return ["-U", "-u", os.path.relpath(instance.run_files / "control.sock", instance.root)]


def _environment(instance: Instance) -> dict[str, str]:
    home = str(instance.run_files)  # process-compose looks for its own settings there
    return processes.shared_environment(instance) | {"HOME": home, "XDG_CONFIG_HOME": home}
