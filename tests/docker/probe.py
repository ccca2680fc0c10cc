"""probe: run inside a container's network, tries every name and every place it is told."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 2.0
FAR_AWAY = ("198.51.100.1", 9)  # for documentation only, RFC 5737; nothing is sent


def resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


def opens(place: tuple[str, str, int]) -> bool:
    try:
        socket.create_connection(place[1:], PATIENCE).close()
    except OSError:
        return False
    return True


def has_route(address: tuple[str, int]) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        return datagrams.connect_ex(address) == 0


def main() -> None:
    asked = json.loads(sys.argv[1])
    with ThreadPoolExecutor(len(asked["places"]) + len(asked["names"])) as threads:
        named = list(threads.map(resolves, asked["names"]))
        opened = list(threads.map(opens, asked["places"]))
    answer = {
        "names": [name for name, yes in zip(asked["names"], named, strict=True) if yes],
        "places": [
            (service, port)
            for (service, _, port), yes in zip(asked["places"], opened, strict=True)
            if yes
        ],
        "ways_out": [FAR_AWAY] if has_route(FAR_AWAY) else [],
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
