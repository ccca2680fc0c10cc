"""EachRequest: what holds for every request, whatever it asks for."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD = "api.head"


class EachRequest:
    """A client that leaves ends its query; HEAD is GET without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def send_watched(message: Message) -> None:
            nonlocal answered
            answered = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        if scope["method"] == "HEAD":
            # uvicorn, which knows better, sends no body
            scope = {**scope, "method": "GET", "extensions": {_HEAD: {}}}
        work = asyncio.ensure_future(self._app(scope, _no_body, send_watched))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answered:
                await asyncio.wait({work})  # it only tidies up
        finally:
            leaving.cancel()
            work.cancel()
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()


def wants_body(scope: Scope) -> bool:
    """Or is it a HEAD that EachRequest made a GET of?"""
    return _HEAD not in scope.get("extensions", {})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _no_body() -> Message:
    """Nothing here takes one, and `receive` is being listened to."""
    return {"type": "http.request", "body": b"", "more_body": False}
