"""Each setting that is tuned is a variable of .env, is passed on, and arrives in the server."""

from collections.abc import Iterator

import pytest

from local.instance import read_dotenv
from local.postgres import SETTINGS, variable
from tests.embedded import Embedded
from tests.postgres_settings import differences, passed_by_compose, plain, server_defaults
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
        "max_slot_wal_keep_size",  # a limit, for a replica that is away: nothing is tuned by it
        "password_encryption",
        "timezone",
        "log_timezone",
    }


async def test_the_server_itself_knows_which_values_are_not_its_own(
    as_locally: PostgresServer,
) -> None:
    """Each of them is a promise of README's that it was measured."""
    variables = read_dotenv(ROOT / ".env")
    defaults = await server_defaults(as_locally.owner_dsn, SETTINGS)
    changed = {
        name for name in SETTINGS if plain(variables[variable(name)]) != plain(defaults[name])
    }
    assert changed == {"wal_compression", "checkpoint_timeout", "max_wal_size"}
