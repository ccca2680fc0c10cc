"""The system, started once for all end-to-end tests, as `make local` starts it."""

from collections.abc import Iterator

import pytest

from tests.system import System


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`.url`, `.environment`, `.pid_of(name)`, `.kill(name)`, `.wait_ready()`."""
    running = System(tmp_path_factory.mktemp("system") / "output")
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.stop()
        running.remove()
