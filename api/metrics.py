"""RequestMetrics: how many requests of each kind, and how long they took."""

from collections import Counter, defaultdict
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.requests import wants_body
from pipeline.metrics import Distribution

# Who asks may invent addresses and methods, and must not be able to invent metrics with them.
OTHER = "other"
METHODS = ("GET", "HEAD")
ABORTED = "aborted"  # for a status: the answer had no end, the reader left or it was broken off


class RequestMetrics:
    """Counts by the route's template; seconds are to the end of the answer, as its reader took it.

    It must get the very scope that the router gets, which writes the route into it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._seconds: defaultdict[str, Distribution] = defaultdict(Distribution)

    def read(self) -> dict[str, object]:
        """Cumulative, but for the quantiles: those are of the time since the last call."""
        return {
            "requests": [
                {"route": route, "method": method, "status": status, "value": count}
                for (route, method, status), count in self._requests.items()
            ],
            "request_seconds": [
                {"route": route, "stat": stat, "value": value}
                for route, seconds in self._seconds.items()
                for stat, value in seconds.read().items()
                if value is not None
            ],
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status, ended = monotonic(), ABORTED, False

        async def send_watched(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = str(message["status"])
            else:
                ended = not message.get("more_body")
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        finally:
            route = scope["route"].path_format if "route" in scope else OTHER
            method = scope["method"] if wants_body(scope) else "HEAD"
            kind = (method if method in METHODS else OTHER, status if ended else ABORTED)
            self._requests[route, *kind] += 1
            self._seconds[route].observe(monotonic() - began)
