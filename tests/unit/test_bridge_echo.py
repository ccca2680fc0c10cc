"""Echo: words that don't come back, or not in time, are the sign of prices that got lost."""

import pytest

from bridge import echo
from bridge.echo import LATE, Echo


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(echo, "monotonic", clock)
    return clock


@pytest.fixture
def ours(clock: Clock) -> Echo:
    """Of a bridge that listens."""
    ours = Echo()
    ours.change_voice()
    ours.begin()
    clock.now += 1
    return ours


def say(ours: Echo) -> bytes:
    """Told to all, and on its way."""
    words = ours.speak(b"here")
    ours.told()
    return words


def test_words_that_come_back_in_order_are_well(ours: Echo, clock: Clock) -> None:
    for _ in range(3):
        said_at = clock.now
        words = say(ours)
        clock.now += 1
        assert ours.hear(words) == b"here"
        assert ours.heard_at == said_at
    assert not ours.broken.is_set()


def test_a_word_may_be_back_before_the_reply_is(ours: Echo, clock: Clock) -> None:
    ours.hear(ours.speak(b"here"))
    ours.told()
    clock.now += 2 * LATE
    ours.hear(say(ours))
    assert not ours.broken.is_set()


def test_a_word_that_was_left_out_breaks_it_as_of_the_one_before(ours: Echo, clock: Clock) -> None:
    well_at = clock.now
    ours.hear(say(ours))
    clock.now += 0.1
    say(ours)
    assert not ours.broken.is_set()
    ours.hear(say(ours))
    assert ours.broken.is_set()
    assert ours.heard_at == well_at


def test_words_that_stay_away_break_it_even_if_they_come_in_the_end(
    ours: Echo, clock: Clock
) -> None:
    late = say(ours)
    clock.now += LATE + 0.1
    assert not ours.broken.is_set()  # it may be we who slept
    say(ours)
    assert ours.broken.is_set()
    ours.hear(late)
    assert ours.heard_at < clock.now - LATE


def test_who_slept_himself_has_lost_nothing(ours: Echo, clock: Clock) -> None:
    words = say(ours)
    clock.now += 10 * LATE
    ours.hear(words)
    assert not ours.broken.is_set()


def test_what_a_broken_connection_took_with_it_is_no_sign(ours: Echo) -> None:
    say(ours)
    ours.change_voice()
    ours.hear(say(ours))
    assert not ours.broken.is_set()


def test_what_was_said_before_anybody_listened_is_no_sign(ours: Echo, clock: Clock) -> None:
    ours.end()
    say(ours)
    words = ours.speak(b"here")
    clock.now += 0.1
    ours.begin()
    ours.told()
    clock.now += 0.1
    ours.hear(say(ours))
    assert words
    assert not ours.broken.is_set()


def test_others_words_are_taken_as_they_are(ours: Echo) -> None:
    say(ours)
    assert ours.hear(b"other 17 marker x:1") == b"marker x:1"
    assert ours.hear(b"no bridge says this") == b"no bridge says this"
    assert not ours.broken.is_set()
