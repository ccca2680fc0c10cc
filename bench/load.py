"""The load generator: N messages a second over M stocks, each stock's price a running number."""

import argparse
import os
import socket
import sys
import time
from bisect import bisect_left
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import Thread
from urllib.parse import unquote, urlsplit

import hiredis
import orjson

from local.instance import Instance

PRICE = "%d.25"  # each carries its number, and has decimals to keep
WRITE_EVERY = 0.002
LARGEST_WRITE = 0.05  # seconds of load; a late writer catches up in pieces
REPORT_EVERY = 5.0
SILENCE_LIMIT = 30.0


@dataclass(frozen=True)
class Load:
    """What to publish. Messages go to the stocks in turn, and stocks to the channels."""

    rate: float
    seconds: float
    stocks: int = 6
    channels: tuple[str, ...] = ("NYSE", "NASDAQ")
    left_out: int | None = None  # a message that isn't sent: does the bench notice?

    @property
    def count(self) -> int:
        return int(self.rate * self.seconds)

    def commands(self, first: int, last: int) -> bytes:
        """Messages first … last-1, counted over all stocks, ready to be sent.

        Most of a command is made once for each stock; 0.2 µs a message are left, not 2.
        """
        numbers = [n // self.stocks + 1 for n in range(first, last)]
        parts, done = [], 0
        while done < len(numbers):
            digits = len(str(numbers[done]))
            end = bisect_left(numbers, 10**digits)
            template = self._template(first + done, end - done, digits)
            parts.append(template % tuple(numbers[done:end]))
            done = end
        return b"".join(parts)

    def _template(self, first: int, count: int, digits: int) -> bytes:
        """So many commands on end, of numbers with so many digits."""
        of_all = _templates(self.stocks, self.channels, digits)
        begin = first % self.stocks
        turns = -(-(begin + count) // self.stocks)
        return b"".join((of_all * turns)[begin : begin + count])


@lru_cache(maxsize=16)
def _templates(stocks: int, channels: tuple[str, ...], digits: int) -> list[bytes]:
    number = "\0" * digits  # as long as the number, and nothing that a name contains
    made = [
        packed("PUBLISH", channels[n % len(channels)], f"{stock_name(n)}:{number}{PRICE[2:]}")
        for n in range(stocks)
    ]
    return [each.replace(b"%", b"%%").replace(number.encode(), b"%d") for each in made]


class Connection:
    """Sending blocks when Redis is slower; a thread counts the answers, one a command."""

    def __init__(self, redis_url: str) -> None:
        url = urlsplit(redis_url)
        address = (url.hostname or "127.0.0.1", url.port or 6379)
        self._socket = socket.create_connection(address, timeout=SILENCE_LIMIT)
        self._fault = ""
        self._sent = self._answered = 0
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        if url.password:
            login = [unquote(part) for part in (url.username, url.password) if part]
            self.send(packed("AUTH", *login), 1)

    def send(self, commands: bytes, count: int) -> None:
        if self._fault:
            raise ConnectionError(self._fault)
        self._socket.sendall(commands)
        self._sent += count

    def finish(self) -> None:
        """Return once all is answered."""
        while self._answered < self._sent and self._reader.is_alive():
            time.sleep(WRITE_EVERY)
        if self._fault or self._answered < self._sent:
            raise ConnectionError(self._fault or "Redis closed the connection")

    def close(self) -> None:
        with suppress(OSError):  # Redis was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()

    def _read(self) -> None:
        try:
            while data := self._socket.recv(1 << 20):
                self._answered += data.count(b"\n")
                if b"-" in data and not self._fault:  # all else are numbers
                    self._fault = data[data.index(b"-") :].decode().partition("\r")[0]
        except OSError as error:
            self._fault = str(error)


def stock_name(index: int) -> str:
    return f"LOAD{index}"


def price(number: int) -> str:
    return PRICE % number


def number_of(stored_price: float) -> int:
    """The running number that a price carries."""
    return int(stored_price)


def publish(load: Load, redis_url: str) -> dict[str, float]:
    """Publish it all; what counts as published is what Redis answered."""
    with closing(Connection(redis_url)) as connection:
        began, cpu = time.monotonic(), time.process_time()
        report_at, sent = began + REPORT_EVERY, 0
        largest = max(1, int(LARGEST_WRITE * load.rate))
        while sent < load.count:
            due = min(load.count, sent + largest, int((time.monotonic() - began) * load.rate))
            if due > sent:
                _send(connection, load, sent, due)
                sent = due
            if time.monotonic() > report_at:
                sys.stderr.write(f"{sent:,} of {load.count:,} messages sent\n")
                report_at += REPORT_EVERY
            time.sleep(WRITE_EVERY)
        connection.finish()
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    published = sent - (load.left_out is not None)
    return {
        "published": published,
        "seconds": round(seconds, 3),
        "rate": round(published / seconds, 1),
        "cpu_seconds": round(cpu, 3),
    }


def _send(connection: Connection, load: Load, first: int, last: int) -> None:
    out = load.left_out
    if out is not None and first <= out < last:
        connection.send(load.commands(first, out), out - first)
        first = out + 1
    connection.send(load.commands(first, last), last - first)


def packed(*words: str) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub says one word
    return packed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--rate", type=float, default=5000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stocks", type=int, default=6)
    parser.add_argument("--channels", default="NYSE,NASDAQ")
    parser.add_argument("--redis-url", help="default: REDIS_URL, else the local system's")
    parser.add_argument("--leave-out", type=int, metavar="N", help="don't send the Nth message")
    given = parser.parse_args()
    channels = tuple(given.channels.split(","))
    load = Load(given.rate, given.seconds, given.stocks, channels, given.leave_out)
    url = given.redis_url or os.environ.get("REDIS_URL")
    report = publish(load, url or Instance.from_environment().redis_url("operator"))
    sys.stdout.write(orjson.dumps(report).decode() + "\n")


if __name__ == "__main__":
    main()
