"""python3 -m local: the whole system as ordinary processes, on a machine with just Python."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # before imports that an old Python cannot read
    sys.exit(f"needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")

import signal

from local.install import install
from local.instance import CannotRun, Instance
from local.servers import initialise_postgres
from local.up import announce, control, up
from local.work import say

USAGE = """\
python3 -m local                  start everything in the foreground; Ctrl-C stops it all
python3 -m local install [--dev]  only bring what a start needs; --dev: tests and lint too
python3 -m local ctl ...          ask or command a running system, for example:
                                    ctl process list -o wide
                                    ctl process logs writer
                                    ctl process scale writer 3
                                    ctl process restart api
                                    ctl down

Variables (the environment wins over .env):
  HTTP_PORT         the page's port, 8080; the six ports above it are used too. Another number
                    is another instance, with data of its own in .run/HTTP_PORT
  HTTP_HOST         where nginx listens, 127.0.0.1; 0.0.0.0 lets other machines in
  GENERATOR_HZ      moves a second of each price, 10
  FLUSH_INTERVAL    seconds between two bulk inserts, 5
  BATCH_ROWS        rows that end the wait early, 30000
  RETENTION_DAYS    days for which ticks are kept, 365
  POSTGRES_...      PostgreSQL's settings, such as POSTGRES_SHARED_BUFFERS=1GB
  PG_BIN            the bin folder of another PostgreSQL 18
and all that `.run/venv/bin/python -m SERVICE --help` lists."""
MISUSED, INTERRUPTED = 2, 130


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return _do(arguments)
    except CannotRun as problem:
        say(f"\n{problem}", to=sys.stderr)
        return 1
    except PermissionError as problem:
        say(f"\nno right to use {problem.filename}: it is another user's", to=sys.stderr)
        return 1
    except OSError as problem:  # a full disk, a file system that may only be read
        say(f"\n{problem.filename or 'this machine'}: {problem.strerror}", to=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("\nstopped; nothing is left running", to=sys.stderr)
        return INTERRUPTED


def _do(arguments: list[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if verb == "install" and rest in ([], ["--dev"]):
        install(dev=bool(rest))
    elif verb == "ctl":
        control(Instance.from_environment(), rest)
    elif verb == "init-postgres":  # this and the next are for process-compose
        initialise_postgres(Instance.from_environment())
    elif verb == "announce":
        announce(Instance.from_environment())
    elif arguments in (["--help"], ["-h"]):
        say(USAGE)
    elif not arguments:
        up(Instance.from_environment())
    else:
        say(USAGE, to=sys.stderr)
        return MISUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
