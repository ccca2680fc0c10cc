"""The load generator: N messages a second over M stocks, each stock's price a running number."""

import argparse
import socket
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from threading import Thread
from urllib.parse import unquote, urlsplit

import hiredis
import orjson

from bench.target import Target

FRACTION = 0.25  # prices are 1.25, 2.25, …: each carries its number, and has decimals to keep
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

    @property
    def count(self) -> int:
        return int(self.rate * self.seconds)

    def commands(self, first: int, last: int) -> bytes:
        """Messages first … last-1, counted over all stocks, ready to be sent."""
        return b"".join([self._command(n) for n in range(first, last)])

    def _command(self, n: int) -> bytes:
        number, stock = divmod(n, self.stocks)
        message = f"{stock_name(stock)}:{price(number + 1)}"
        return _packed("PUBLISH", self.channels[stock % len(self.channels)], message)


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
            self.send(_packed("AUTH", *login), 1)

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
    return f"{number + FRACTION:.2f}"


def number_of(stored_price: float) -> int:
    """The running number that a price carries."""
    return int(stored_price - FRACTION)


def publish(load: Load, redis_url: str) -> dict[str, float]:
    """Publish it all; what counts as published is what Redis answered."""
    with closing(Connection(redis_url)) as connection:
        began = time.monotonic()
        report_at, sent = began + REPORT_EVERY, 0
        largest = max(1, int(LARGEST_WRITE * load.rate))
        while sent < load.count:
            due = min(load.count, sent + largest, int((time.monotonic() - began) * load.rate))
            if due > sent:
                connection.send(load.commands(sent, due), due - sent)
                sent = due
            if time.monotonic() > report_at:
                sys.stderr.write(f"{sent:,} of {load.count:,} messages sent\n")
                report_at += REPORT_EVERY
            time.sleep(WRITE_EVERY)
        connection.finish()
        seconds = time.monotonic() - began
    return {"published": sent, "seconds": round(seconds, 3), "rate": round(sent / seconds, 1)}


def _packed(*words: str) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub says one word
    return packed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--rate", type=float, default=5000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stocks", type=int, default=6)
    parser.add_argument("--channels", default="NYSE,NASDAQ")
    parser.add_argument("--redis-url", help="default: REDIS_URL, else the local system's")
    given = parser.parse_args()
    load = Load(given.rate, given.seconds, given.stocks, tuple(given.channels.split(",")))
    report = publish(load, given.redis_url or Target.from_environment().redis_url)
    sys.stdout.write(orjson.dumps(report).decode() + "\n")


if __name__ == "__main__":
    main()
