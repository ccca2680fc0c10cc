"""close_all(): what a server in a test's own process leaves of its connections: nothing."""

import asyncio
from collections.abc import Sequence


async def close_all(ends: Sequence[asyncio.StreamWriter]) -> None:
    """Or the collector finds them, in whichever test it comes by."""
    for end in ends:
        end.close()
    await asyncio.gather(*(end.wait_closed() for end in ends), return_exceptions=True)
