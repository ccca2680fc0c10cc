"""What tests share: an api for those that only ask it, consumers by their names, the feed."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from forwarder.centrifugo import Centrifugo
from forwarder.settings import ForwarderSettings
from pipeline import peers
from tests.api_process import Api, asking, start_api
from tests.consumers import StartForwarder, start_forwarder
from tests.consuming import Named, stream_settings
from tests.feed_client import FeedClient, following
from tests.servers import CentrifugoServer, PostgresServer
from tests.services import Service, StartService


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


@pytest.fixture
async def feed(centrifugo: CentrifugoServer) -> AsyncIterator[FeedClient]:
    async with following(centrifugo.ws_url, "prices:NYSE") as client:
        yield client


@pytest.fixture
def forwarder(
    service: StartService, redis_url: str, centrifugo: CentrifugoServer, stream: str
) -> StartForwarder:
    return partial(start_forwarder, service, redis_url, centrifugo, stream)


@pytest.fixture
async def centrifugo_api(redis_url: str, centrifugo: CentrifugoServer) -> AsyncIterator[Centrifugo]:
    settings = {"centrifugo_api_url": centrifugo.api_url, "centrifugo_api_key": centrifugo.api_key}
    whole = ForwarderSettings.model_validate({"redis_url": redis_url, **settings})
    async with Centrifugo(whole) as api:
        yield api
