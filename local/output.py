"""Output that outlives its reader: Ctrl-C on `make local | tee log` still stops all in order."""

from __future__ import annotations

import os
import signal
import stat
import sys
from contextlib import suppress

CHUNK = 65536


def outlive_reader() -> None:
    """Put a relay between this process and the pipe it writes to, if it does.

    Ctrl-C ends the reader at once, and process-compose, as any Go program, dies of its next line:
    before it has stopped what it runs.
    """
    target = os.fstat(sys.stdout.fileno())
    if not stat.S_ISFIFO(target.st_mode):
        return
    sys.stdout.flush()
    source, sink = os.pipe()
    if os.fork() == 0:
        os.close(sink)
        _relay(source)
        os._exit(0)
    os.close(source)
    for stream in (sys.stdout, sys.stderr):
        if os.path.samestat(os.fstat(stream.fileno()), target):
            os.dup2(sink, stream.fileno())
    os.close(sink)


def _relay(source: int) -> None:
    """Until the other end closes; what nobody reads any more is dropped."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while chunk := os.read(source, CHUNK):
        with suppress(BrokenPipeError):
            while chunk:
                chunk = chunk[os.write(sys.stdout.fileno(), chunk) :]
