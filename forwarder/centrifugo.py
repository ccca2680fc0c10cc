"""Centrifugo: publications in one request to its HTTP API; which answers are an Outage."""

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
import orjson

from forwarder.settings import ForwarderSettings
from pipeline.outage import Outage

REQUEST_TIMEOUT = 8.0  # shorter than a stop may take
CONNECT_TIMEOUT = 3.0
OK = 200


class Publication(NamedTuple):
    """One message to a channel; `data` is JSON text already."""

    channel: str
    key: str  # Centrifugo drops a repeat of it for five minutes
    data: bytes


class Centrifugo:
    """A client for /api/batch that believes nothing but a reply for every command.

    Of several nodes it asks one, and the next one after a failure. They know each other's keys by
    their engine's Redis, so what the first took after all isn't published again by the second.
    """

    def __init__(self, settings: ForwarderSettings) -> None:
        self._urls = deque(f"{url}/batch" for url in settings.centrifugo_api_url)
        self._key = settings.centrifugo_api_key
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            headers={
                "X-API-Key": self._key.get_secret_value(),
                "Content-Type": "application/json",
            },
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http:
            await self._http.close()

    async def publish(self, publications: Sequence[Publication]) -> None:
        """All of them, in this order; raises Outage unless every one was taken."""
        asked = self._urls[0]
        try:
            await self._publish(publications)
        except Outage:
            if self._urls[0] == asked:  # else another shard's request has failed there too
                self._urls.rotate(-1)
            raise

    async def _publish(self, publications: Sequence[Publication]) -> None:
        body = b'{"commands":[%b]}' % b",".join([_command(each) for each in publications])
        try:
            answer = await self._post(body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = f"{str(error) or type(error).__name__}, asking {self._urls[0]}"
            raise Outage("centrifugo", reason) from error
        try:
            replies = orjson.loads(answer)["replies"]
            errors = [reply["error"] for reply in replies if "error" in reply]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Outage("centrifugo", "the answer is not a batch's") from error
        if errors:
            raise Outage("centrifugo", f"{len(errors)} of {len(replies)} refused: {errors[0]}")
        if len(replies) != len(publications):
            raise Outage("centrifugo", f"{len(replies)} replies to {len(publications)} commands")

    async def _post(self, body: bytes) -> bytes:
        if not self._http:
            raise RuntimeError("use it in an async with")
        async with self._http.post(self._urls[0], data=body) as response:
            if response.status != OK:
                raise Outage("centrifugo", f"HTTP {response.status} from {self._urls[0]}")
            return await response.read()


def _command(publication: Publication) -> bytes:
    return b'{"publish":{"channel":%b,"idempotency_key":%b,"data":%b}}' % (
        orjson.dumps(publication.channel),
        orjson.dumps(publication.key),
        publication.data,
    )
