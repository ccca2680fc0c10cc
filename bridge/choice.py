"""where_to_listen(): the node whose pub/sub all bridges of a stream hear."""

import asyncio

from bridge.post import Post
from bridge.script import StreamScript
from bridge.settings import BridgeSettings
from pipeline.addresses import Address
from pipeline.connections import redis_outage
from pipeline.nodes import locate
from pipeline.outage import Outage, say

PATIENCE = 1.0  # seconds for the stream's own node


async def where_to_listen(
    settings: BridgeSettings, post: Post, failed: int
) -> tuple[int, Address | None]:
    """The stream's position, -1 if it isn't known, and the node's address.

    None: the stream's own, which says the position itself. In a cluster it is where the bridges
    listen that are there already; else the best there is, after so many `failed` attempts another.
    Raises Outage.
    """
    if not settings.follows:
        return 0, None
    if post.node and not failed:  # at once: the stream's own node may be away just now
        return -1, post.address
    with redis_outage():
        options = (await locate(settings)).to_listen
    if failed and post.node:
        options = tuple(each for each in options if each != post.address) or options
    host, port = options[max(0, failed - 1) % len(options)]
    node, position = f"{host}:{port}", -1
    script = StreamScript(settings, post)
    post.on_its_way = True
    try:
        async with asyncio.timeout(PATIENCE):
            node, position = await script.listen(node, post.node if failed else "")
    # Its master is away. Who waits for the next one misses prices; if bridges choose apart,
    # the one without the lease goes to the other when that can be known.
    except Outage as outage:
        say(outage, 0.0, 0.0)
    except TimeoutError:
        say(Outage("redis", "the stream's node is silent"), 0.0, 0.0)
    finally:
        script.close()
    post.go_to(node)
    return position, post.address
