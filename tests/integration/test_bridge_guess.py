"""A bridge that nobody could line up takes over all the same."""

import signal
from typing import Any

from tests.bridging import another, have_appended, messages, numbered, publish, start
from tests.services import StartService


async def test_a_bridge_whose_question_was_never_answered_takes_over_and_says_its_gap(
    service: StartService, redis: Any, redis_url: str, stream: str
) -> None:
    first = await start(service, redis_url, stream)
    await publish(redis, stream, *numbered(0, 10))
    await have_appended(redis, stream, 10)
    first.signal(signal.SIGSTOP)
    second = another(service, redis_url, stream)
    await second.wait_for("bridge.subscribed")
    await publish(redis, stream, *numbered(10, 20))
    await second.wait_for("bridge.gap", reason="start")
    await second.wait_for("lease.taken", exact=False)
    await have_appended(redis, stream, 20)

    first.signal(signal.SIGCONT)
    await first.wait_for("bridge.lined_up")
    second.kill()
    await publish(redis, stream, *numbered(20, 30))
    await have_appended(redis, stream, 30)

    assert await messages(redis, stream) == numbered(0, 30)
    assert len([event for event in first.events if event["event"] == "lease.taken"]) == 2
    assert not first.find("bridge.gap")
