"""meanwhile(): work that goes on beside a test, and ends in good order before it goes on alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def meanwhile(work: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    """Until the end, which is an event that `work` looks at; what it raises is raised there."""
    over = asyncio.Event()
    task = asyncio.ensure_future(work(over))
    try:
        yield
    finally:
        over.set()
        await task
