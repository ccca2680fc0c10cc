"""The list of processes, in the order in which a price meets them, as process-compose reads it."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local import postgres, servers
from local.instance import LOOPBACK
from local.python_packages import PYTHON

if TYPE_CHECKING:
    from local.instance import Instance

CHECK_PERIOD = 10  # seconds; the first check waits by itself, so it does not slow a start down
CHECK_LIMIT = 40  # seconds; a check gives up by itself after 30
FAILED_CHECKS = 10  # then it is restarted; a large database may take a while to recover
STOP_LIMIT = 20  # seconds; our own services end by themselves after nine
REPLICA = "{{.PC_REPLICA_NUM}}"  # process-compose fills it in
LOG_REPLICA = "{PC_REPLICA_NUM}"  # the same where a log's name is meant
# Each line as it was written; a full file is kept under its name and the time.
LOG_CONFIGURATION = {
    "rotation": {"max_size_mb": 10, "max_backups": 3},
    "disable_json": True,
    "fields_order": ["message"],
    "no_color": True,
    "no_metadata": True,
    "flush_each_line": True,
}


@dataclass(frozen=True)
class Process:
    """Without a check it is a task: it ends, and what comes after it waits for that end."""

    line: list[str]
    check: list[str] = field(default_factory=list)
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # variables that are nobody else's
    own: dict[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM


def processes(instance: Instance) -> dict[str, Process]:
    """Everything that runs; what is named in `after` must be well before it starts."""
    path = _received(instance) | _live(instance) | _stored(instance) | _served(instance)
    # The writer's first heartbeat comes with its first flush: a start need not wait for that.
    awaited = tuple(name for name in path if name != "writer")
    return {
        **path,
        **_observed(instance),
        "ready": Process([str(PYTHON), "-m", "local", "announce"], after=awaited),
    }


def _received(instance: Instance) -> dict[str, Process]:
    return {
        # Pub/sub keeps nothing, so nothing is published before the bridge listens.
        "generator": _loop(instance, "generator", after=("redis", "bridge")),
        "redis": Process(
            servers.command("redis", instance),
            check=["redis", str(instance.redis_port)],
            needs=_passwords(instance, "REDIS"),
        ),
        "bridge": _loop(instance, "bridge", after=("redis",)),
    }


def _live(instance: Instance) -> dict[str, Process]:
    needs = ("CENTRIFUGO_API_URL", "CENTRIFUGO_API_KEY")
    # Centrifugo's settings go by its own rule, CENTRIFUGO_ and the path, so users can add any.
    settings = [name for name in instance.environment() if name.startswith("CENTRIFUGO_")]
    return {
        "forwarder": _loop(instance, "forwarder", after=("redis", "centrifugo"), needs=needs),
        "centrifugo": Process(
            servers.command("centrifugo", instance),
            check=["http", LOOPBACK, str(instance.centrifugo_internal_port), "/health"],
            needs=tuple(name for name in settings if name not in (*needs, "CENTRIFUGO_ADDRESS")),
        ),
    }


def _stored(instance: Instance) -> dict[str, Process]:
    port = str(instance.postgres_port)
    return {
        "writer": _loop(instance, "writer", after=("redis", "migrate"), needs=("POSTGRES_DSN",)),
        "migrate": Process(
            [str(PYTHON), "-m", "migrate"],
            after=("postgres",),
            needs=_passwords(instance, "POSTGRES"),
            own={"POSTGRES_DSN": instance.owner_dsn},  # the others have their own role's
        ),
        "postgres-init": Process(
            # It reads all of the instance, to which all passwords belong.
            [str(PYTHON), "-m", "local", "init-postgres"],
            needs=_passwords(instance, ""),
        ),
        "postgres": Process(
            servers.command("postgres", instance),
            check=["postgres", postgres.program(instance, "pg_isready"), port],
            after=("postgres-init",),
            stop=signal.SIGINT,  # fast; SIGTERM would wait for clients
        ),
    }


def _served(instance: Instance) -> dict[str, Process]:
    return {
        "api": Process(
            [str(PYTHON), "-m", "api"],
            check=["http", LOOPBACK, str(instance.api_port), "/api/health"],
            after=("redis", "migrate"),
            needs=("REDIS_URL", "POSTGRES_DSN"),
            own={"CONSUMER": f"api-{REPLICA}"},
        ),
        "nginx": Process(
            servers.command("nginx", instance),
            check=["http", instance.own_http_host, str(instance.http_port), "/healthz"],
            after=("centrifugo", "api"),
            stop=signal.SIGQUIT,
        ),
    }


def _observed(instance: Instance) -> dict[str, Process]:
    """Vector, on a machine that has one: no package registry does."""
    program = instance.environment().get("VECTOR_BIN") or shutil.which("vector")
    if not program:
        return {}
    config = instance.root / "config" / "vector"
    return {
        "vector": Process(
            [program, "-c", str(config / "vector.yaml"), "-c", str(config / "files.yaml")],
            check=["http", LOOPBACK, str(instance.vector_port), "/health"],
            after=("migrate",),
            needs=("PGPASSWORD",),
            own={
                "VECTOR_DANGEROUSLY_ALLOW_ENV_VAR_INTERPOLATION": "true",
                "VECTOR_API_PORT": str(instance.vector_port),
                "VECTOR_DATA_DIR": str(instance.data / "vector"),
                "VECTOR_LOGS": str(instance.logs),
                "POSTGRES_ADDRESS": f"{LOOPBACK}:{instance.postgres_port}",
            },
        )
    }


def _passwords(instance: Instance, server: str) -> tuple[str, ...]:
    names = instance.environment()
    return tuple(name for name in names if name.startswith(server) and name.endswith("_PASSWORD"))


def shared_environment(instance: Instance) -> dict[str, str]:
    """What every process sees: all but what is secret, or means something to one of them only."""
    return {
        name: value
        for name, value in instance.environment().items()
        if not (name.startswith("CENTRIFUGO_") or name.endswith(("_PASSWORD", "_DSN")))
    }


def configuration(instance: Instance) -> str:
    """All processes as one JSON text, which is YAML as well."""
    path = processes(instance)
    return json.dumps(
        {
            "version": "0.5",
            "is_strict": True,
            "ordered_shutdown": True,
            "disable_env_expansion": True,  # a password may contain a dollar sign
            "shell": {"shell_command": "sh", "shell_argument": "-c"},
            "processes": {name: _entry(instance, name, path) for name in path},
        },
        indent=1,
    )


def _loop(
    instance: Instance, name: str, *, after: tuple[str, ...], needs: tuple[str, ...] = ()
) -> Process:
    """A loop has no port to ask; the age of its heartbeat file says when it last made progress."""
    heartbeat = str(instance.run_files / f"{name}-{REPLICA}.alive")
    own = {"CONSUMER": f"{name}-{REPLICA}", "HEARTBEAT_FILE": heartbeat}
    line = [str(PYTHON), "-m", name]
    needs = ("REDIS_URL", *needs)
    return Process(line, check=["file", heartbeat], after=after, needs=needs, own=own)


def _entry(instance: Instance, name: str, path: dict[str, Process]) -> dict[str, object]:
    process = path[name]
    given = instance.service_environment(name)
    needs = {need: given[need].replace("{{", "{{`{{`}}") for need in process.needs}
    entry: dict[str, object] = {
        "entrypoint": process.line,
        # Centrifugo would read a .env that it finds beside it.
        "working_dir": str(instance.run_files if name == "centrifugo" else instance.root),
        "is_dotenv_disabled": True,  # or everybody would get everything that is in .env
        "log_location": str(instance.logs / _log_name(name, process)),
        "log_configuration": LOG_CONFIGURATION,
        "environment": [f"{key}={value}" for key, value in (needs | process.own).items()],
        "shutdown": {"signal": int(process.stop), "timeout_seconds": STOP_LIMIT},
        "depends_on": {other: {"condition": _condition(path[other])} for other in process.after},
    }
    if process.check:
        program = [str(PYTHON), "-SI", str(instance.root / "local" / "check.py")]
        entry["readiness_probe"] = {
            "exec": {"command": f"exec {shlex.join([*program, *process.check])}"},
            "period_seconds": CHECK_PERIOD,
            "timeout_seconds": CHECK_LIMIT,
            "failure_threshold": FAILED_CHECKS,
        }
    restart = "always" if process.check else "exit_on_failure"
    return entry | {"availability": {"restart": restart, "backoff_seconds": 1}}


def _log_name(name: str, process: Process) -> str:
    """Ours by the name that they give themselves, since there may be several."""
    return f"{name}-{LOG_REPLICA}.log" if "CONSUMER" in process.own else f"{name}.log"


def _condition(process: Process) -> str:
    return "process_healthy" if process.check else "process_completed_successfully"
