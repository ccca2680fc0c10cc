"""The system, started once for all end-to-end tests: as `make local` does it, or as containers."""

from collections.abc import Iterator

import pytest

from tests.system import System
from tests.target import Target


@pytest.fixture(scope="session")
def system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    if request.config.getoption("--target") == "docker":
        yield request.getfixturevalue("stack")
        return
    running = System(tmp_path_factory.mktemp("system") / "output")
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.stop()
        running.remove()
