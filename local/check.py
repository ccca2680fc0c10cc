"""check.py redis PORT | http HOST PORT PATH | postgres PG_ISREADY PORT | file PATH: is it well?

It waits for that, because process-compose asks only once in a while; not for ever, because
process-compose may be gone. It is run as a file, without site packages, because it is run so often.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 30.0  # seconds
PAUSE = 0.05
OLDEST_FILE = 60.0  # seconds since a service's last progress
ONE_TRY = 2.0


def answers(host: str, port: str, question: bytes, *expected: bytes) -> bool:
    try:
        with socket.create_connection((host, int(port)), ONE_TRY) as connection:
            connection.sendall(question)
            return connection.recv(64).startswith(expected)
    except OSError:
        return False


def is_well(kind: str, *where: str) -> bool:
    if kind == "redis":
        return answers("127.0.0.1", where[0], b"PING\r\n", b"+PONG", b"-NOAUTH")
    if kind == "http":
        request = f"GET {where[2]} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        return answers(where[0], where[1], request, b"HTTP/1.1 2", b"HTTP/1.0 2")
    if kind == "postgres":
        line = [where[0], "-q", "-h", "127.0.0.1", "-p", where[1]]
        return subprocess.run(line, check=False).returncode == 0  # noqa: S603  # our own command line
    try:
        return time.time() - Path(where[0]).stat().st_mtime < OLDEST_FILE
    except OSError:
        return False


def main() -> None:
    parent, deadline = os.getppid(), time.monotonic() + LIMIT
    while not is_well(*sys.argv[1:]):
        if time.monotonic() > deadline or os.getppid() != parent:
            sys.exit(1)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
