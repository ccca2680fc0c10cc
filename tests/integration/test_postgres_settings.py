"""Each setting that is tuned is a variable of .env, is passed on, and arrives in the server."""

from collections.abc import Iterator

import pytest

from local.instance import read_dotenv
from local.postgres import SETTINGS, variable
from tests.embedded import Embedded
from tests.postgres_settings import differences, passed_by_compose
from tests.servers import PostgresServer
from tests.services import ROOT


@pytest.fixture
def as_locally() -> Iterator[PostgresServer]:
    """The server that `make local` starts, also where an engine answers."""
    server = Embedded().postgres()
    try:
        yield server
    finally:
        server.runner.close()


async def test_every_setting_that_compose_passes_arrives(as_locally: PostgresServer) -> None:
    variables = read_dotenv(ROOT / ".env")
    passed = {name: variables[named] for name, named in passed_by_compose().items()}
    assert len(passed) >= 17
    assert await differences(as_locally.owner_dsn, passed) == {}


def test_compose_env_and_the_local_system_agree_on_what_is_tuned() -> None:
    assert passed_by_compose() == {name: variable(name) for name in SETTINGS}
    assert not {variable(name) for name in SETTINGS} - read_dotenv(ROOT / ".env").keys()


def test_no_setting_that_is_tuned_hides_in_a_file() -> None:
    lines = (ROOT / "config" / "postgres" / "postgresql.conf").read_text().splitlines()
    fixed = {line.partition("=")[0].strip() for line in lines if "=" in line and line[0] != "#"}
    assert fixed == {
        "shared_preload_libraries",
        "password_encryption",
        "timezone",
        "log_timezone",
    }
