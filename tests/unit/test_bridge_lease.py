"""Who listens beside a bridge, as far as it can tell from how many heard what it told."""

from datetime import timedelta

import pytest
from pydantic import RedisDsn

from bridge.backlog import Backlog
from bridge.lease import Lease
from bridge.lineup import LineUp
from bridge.ring import Ring
from bridge.script import StreamScript
from bridge.settings import BridgeSettings
from bridge.subscription import Subscription


@pytest.fixture
def settings() -> BridgeSettings:
    return BridgeSettings(redis_url=RedisDsn("redis://nowhere"))


@pytest.fixture
def subscription(settings: BridgeSettings) -> Subscription:
    ring = Ring(timedelta(seconds=1), 10)
    return Subscription(settings, LineUp(Backlog(10), ring, lambda _: None))


@pytest.fixture
def lease(settings: BridgeSettings, subscription: Subscription) -> Lease:
    line_up = LineUp(Backlog(10), Ring(timedelta(seconds=1), 10), lambda _: None)
    lease = Lease(settings, StreamScript(settings), line_up, subscription)
    lease.others = 0
    return lease


def test_who_is_subscribed_is_not_another_one(lease: Lease, subscription: Subscription) -> None:
    subscription.connected = True
    lease.note(2, subscription.state)
    assert lease.others == 1


def test_who_has_no_subscription_counts_all(lease: Lease, subscription: Subscription) -> None:
    subscription.connected = False
    lease.note(2, subscription.state)
    assert lease.others == 2


def test_who_may_be_subscribed_already_takes_himself_for_nobody_else(
    lease: Lease, subscription: Subscription
) -> None:
    subscription.connected = None
    lease.note(1, subscription.state)
    assert lease.others == 0


def test_a_count_from_before_a_reconnect_says_nothing(
    lease: Lease, subscription: Subscription
) -> None:
    subscription.connected = True
    before = subscription.state
    subscription.since_us = 1
    lease.note(2, before)
    assert lease.others == 0
