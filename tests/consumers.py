"""The stream's two consumers as tests start them: with a name that the next one has again."""

from collections.abc import Callable

from tests.servers import CentrifugoServer, PostgresServer
from tests.services import Service, StartService

StartForwarder = Callable[..., Service]
"""forwarder(NAME=value) starts one on the shared servers."""

WRITER, FORWARDER = "writer-0", "forwarder-0"


def start_writer(
    service: StartService, redis_url: str, postgres: PostgresServer, stream: str, **more: object
) -> Service:
    environment = {"REDIS_URL": redis_url, "STREAM": stream, "CONSUMER": WRITER}
    own = {"POSTGRES_DSN": postgres.dsn("writer"), "FLUSH_INTERVAL": 0.2}
    return service("writer", **(environment | own | more))


def start_forwarder(
    service: StartService, redis_url: str, centrifugo: CentrifugoServer, stream: str, **more: object
) -> Service:
    environment = {"REDIS_URL": redis_url, "STREAM": stream, "CONSUMER": FORWARDER}
    own = {"CENTRIFUGO_API_URL": centrifugo.api_url, "CENTRIFUGO_API_KEY": centrifugo.api_key}
    own["FORWARDER_MAX_LAG"] = "0"  # a busy machine takes longer to start it than it may be behind
    return service("forwarder", **(environment | own | more))
