"""What tests share: an api for those that only ask it, and consumers by their names."""

from collections.abc import AsyncIterator, Iterator

import pytest

from pipeline import peers
from tests.api_process import Api, asking, start_api
from tests.consuming import Named, stream_settings
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


@pytest.fixture
def quick_peers(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Fifteen seconds in one and a half."""
    for name in ("LIFE", "BEAT_EVERY", "GRACE", "OVERDUE", "LOOK_EVERY"):
        monkeypatch.setattr(peers, name, getattr(peers, name) / 10)
    return monkeypatch


@pytest.fixture
def named(redis_url: str, stream: str) -> Named:
    """named("two") is what a consumer of that name reads."""
    return lambda name, **more: stream_settings(redis_url, stream, consumer=name, **more)
