"""Who reaches whom: the one published port, and from every container all of the others."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import orjson
import pytest

from tests.docker.cli import Container, docker, inspect
from tests.docker.stack import Stack
from tests.processes import PROC, command_line
from tests.services import ROOT

AT_THE_EDGE = {"nginx", "api", "centrifugo", "grafana"}
PROBE = (ROOT / "tests" / "docker" / "probe.py").read_text()
LISTENS, EXPOSED = "0A", re.compile(r"0{8}|0{32}")  # as /proc/net/tcp writes it

Place = tuple[str, int]
"""A service and a port that it listens on."""


def test_nginx_alone_publishes_a_port_and_one(stack: Stack) -> None:
    published = [
        (container.service, inside, binding["HostPort"])
        for container in stack.containers()
        for inside, bindings in container.inspected["NetworkSettings"]["Ports"].items()
        for binding in bindings or []
    ]
    assert set(published) == {("nginx", "8080/tcp", str(stack.port))}


def test_this_machine_listens_for_the_stack_on_that_port_only(stack: Stack) -> None:
    ours = {ip for container in stack.containers() for ip in container.addresses.values()}
    listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout  # noqa: S607  # on PATH
    proxies = re.findall(r":(\d+) +\S+ +users:\(\(\"docker-proxy\",pid=(\d+)", listening)
    for port, pid in proxies:
        words = command_line(int(pid)).split()
        assert words[words.index("-container-ip") + 1] not in ours or int(port) == stack.port
    assert re.search(rf":{stack.port} ", listening)


def test_the_network_of_the_data_is_internal_and_the_services_are_where_they_belong(
    stack: Stack,
) -> None:
    [data] = inspect("network", [f"{stack.project}_data"])
    assert data["Internal"]
    for container in stack.containers():
        networks = set(container.addresses)
        assert networks <= {"data", "edge", "logs"}, container.service
        assert "edge" not in networks or container.service in AT_THE_EDGE
        assert container.service != "nginx" or networks == {"edge"}


@pytest.fixture(scope="module")
def seen(stack: Stack) -> dict[str, dict[str, list[list[object]]]]:
    """By service: what a process in its container has found when it tried everything."""
    containers = stack.containers()
    image = stack.one("bridge").inspected["Image"]
    ports = {container.service: listening_ports(container) for container in containers}
    places = [
        (container.service, address, port)
        for container in containers
        for address, port in product(container.addresses.values(), ports[container.service])
    ]
    question = orjson.dumps({"names": sorted(ports), "places": places}).decode()

    def look_from(container: Container) -> dict[str, list[list[object]]]:
        inside = ["--rm", "--network", f"container:{container.id}", "--entrypoint", "python"]
        return dict(orjson.loads(docker("run", *inside, image, "-c", PROBE, question)))

    with ThreadPoolExecutor(4) as threads:
        found = threads.map(look_from, containers)
        return dict(zip([container.service for container in containers], found, strict=True))


def test_each_container_finds_and_reaches_those_on_its_networks_and_nobody_else(
    stack: Stack, seen: dict[str, dict[str, list[list[object]]]]
) -> None:
    containers = stack.containers()
    for one in containers:
        neighbours = [c for c in containers if set(c.addresses) & set(one.addresses)]
        names = {container.service for container in neighbours}
        places = {(c.service, port) for c in neighbours for port in listening_ports(c)}
        assert set(map(str, seen[one.service]["names"])) == names, one.service
        assert {tuple(place) for place in seen[one.service]["places"]} == places, one.service


def test_nginx_reaches_neither_redis_nor_postgres(
    seen: dict[str, dict[str, list[list[object]]]],
) -> None:
    reached = {str(service) for service, _ in seen["nginx"]["places"]}
    assert reached == reached & AT_THE_EDGE
    assert {"redis", "postgres"} <= {str(service) for service, _ in seen["api"]["places"]}


def test_what_is_only_among_the_data_has_no_way_out(
    stack: Stack, seen: dict[str, dict[str, list[list[object]]]]
) -> None:
    for container in stack.containers():
        ways_out = seen[container.service]["ways_out"]
        assert bool(ways_out) == ("edge" in container.addresses), container.service


def listening_ports(container: Container) -> list[int]:
    """Those that other containers may try; loopback is its own business."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in (PROC / str(container.pid) / "net" / table).read_text().splitlines()[1:]
    ]
    places = [row[1].split(":") for row in rows if row[3] == LISTENS]
    return sorted({int(port, 16) for address, port in places if EXPOSED.fullmatch(address)})
