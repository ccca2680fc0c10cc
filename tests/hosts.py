"""Hosts: network namespaces on a switch of their own, whose cables can be pulled."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Self

NEW_NETWORK = 0x40000000  # CLONE_NEWNET
OF_THIS_THREAD = "/proc/thread-self/ns/net"
SUBNET = "10.77.0"  # of each switch: no two of them know each other
SWITCH, CARD = "switch", "eth0"
ALLOWED_BY = "root may, and others in a user namespace: unshare --user --map-root-user --net -- …"


class Namespace:
    """A network without a name: it is gone with its last process and the last that holds it.

    So nothing is left of it whatever happens to the test run, and no two runs meet. Raises OSError
    where it is forbidden.
    """

    def __init__(self) -> None:
        with _elsewhere("unshare", NEW_NETWORK):
            self._handle = os.open(OF_THIS_THREAD, os.O_RDONLY)
            try:
                ip("link", "set", "lo", "up")
            except BaseException:
                self.close()
                raise

    @contextmanager
    def inside(self) -> Iterator[Self]:
        """What this thread does meanwhile is done there: processes started, sockets opened."""
        with _elsewhere("setns", self._handle, NEW_NETWORK):
            yield self

    def close(self) -> None:
        os.close(self._handle)


class Host(Namespace):
    """A machine with one cable, into the switch."""

    def __init__(self, switch: Namespace, number: int) -> None:
        super().__init__()
        self.address = f"{SUBNET}.{number}"
        self.port = f"port{number}"  # the switch's
        cable = ("link", "add", "name", self.port, "type", "veth", "peer", "name", CARD)
        with switch.inside():
            there = f"/proc/self/fd/{self._handle}"
            ip(*cable, "netns", there, passing=self._handle)
            ip("link", "set", self.port, "master", SWITCH, "up")
        with self.inside():
            ip("address", "add", f"{self.address}/24", "dev", CARD)
            ip("link", "set", CARD, "up")


class Network:
    """A switch, and the hosts that were put on it."""

    def __init__(self) -> None:
        self._hosts: list[Host] = []
        self._numbers = count(1)  # several threads may put hosts on it
        self._switch = Namespace()
        with self._switch.inside():
            ip("link", "add", "name", SWITCH, "type", "bridge")
            ip("link", "set", SWITCH, "up")

    def host(self) -> Host:
        host = Host(self._switch, next(self._numbers))
        self._hosts.append(host)
        return host

    @contextmanager
    def cut_off(self, *hosts: Host) -> Iterator[None]:
        """Nothing reaches them meanwhile and nothing leaves them, and nobody is told.

        What the switch gets from them it throws away. A link that is down would be a sign.
        """
        with ExitStack() as until_it_is_back:
            for host in hosts:
                self._set(host, "nomaster")
                until_it_is_back.callback(self._set, host, "master", SWITCH)
            yield

    def _set(self, host: Host, *what: str) -> None:
        with self._switch.inside():
            ip("link", "set", host.port, *what)

    def close(self) -> None:
        for each in (*self._hosts, self._switch):
            each.close()


@contextmanager
def network() -> Iterator[Network]:
    made = Network()
    try:
        yield made
    finally:
        made.close()


def why_not() -> str:
    """Why there can be no hosts here; empty where there can."""
    if not shutil.which("ip"):
        return "hosts need the program ip (Debian: iproute2)"
    try:
        with network() as made:
            made.host()
    except OSError as error:
        return f"hosts need networks of their own ({ALLOWED_BY}): {error}"
    return ""


def ip(*words: str, passing: int | None = None) -> None:
    """Raises OSError with what it said. `passing`: a descriptor that it is to have."""
    handed = () if passing is None else (passing,)
    done = subprocess.run(  # noqa: S603 - our own words
        ["ip", *words],  # noqa: S607 - wherever it is
        capture_output=True,
        pass_fds=handed,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def _elsewhere(name: str, *arguments: int) -> Iterator[None]:
    """Where that call leads, and back."""
    before = os.open(OF_THIS_THREAD, os.O_RDONLY)
    try:
        _call(name, *arguments)
        try:
            yield
        finally:
            _call("setns", before, NEW_NETWORK)
    finally:
        os.close(before)


def _call(name: str, *arguments: int) -> None:
    """Of the C library: Python has these two from 3.12 on."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
