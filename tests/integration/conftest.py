"""What tests of the api share: one process for those of a module that only ask."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api_process import Api, asking, start_api
from tests.servers import PostgresServer
from tests.services import Service


@pytest.fixture(scope="module")
def api_process(shared_postgres: PostgresServer) -> Iterator[tuple[Service, int]]:
    process, port = start_api(Service, POSTGRES_DSN=shared_postgres.dsn("api"))
    yield process, port
    process.close()


@pytest.fixture
async def api(api_process: tuple[Service, int]) -> AsyncIterator[Api]:
    async with asking(*api_process) as running:
        yield running
