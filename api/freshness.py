"""etag(), caching(): what a client may keep of an answer about a range, and for how long."""

from datetime import datetime, timedelta
from hashlib import blake2b

from api.ranges import AskedRange

# A tick is stored seconds after its time; hours after, if PostgreSQL was away for hours. Answers
# about a time more than a day ago may be kept for an hour without asking, newer ones only with.
SETTLED = timedelta(days=1)
KEPT = 3600  # seconds


def etag(*parts: object) -> str:
    """The same for the same parts, and very likely for no others."""
    return f'"{blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


def settled_at(asked: AskedRange, now: datetime) -> datetime | None:
    """Since when no tick of the range is awaited any more; None: some may still come."""
    if asked.end is None or asked.end >= now - SETTLED:
        return None
    return asked.end + SETTLED


def caching(asked: AskedRange, now: datetime) -> str:
    """Cache-Control of an answer about a range; one until now is out of date at once."""
    if asked.end is None or asked.end > now:
        return "no-store"
    return f"public, max-age={KEPT}" if settled_at(asked, now) else "public, no-cache"


def matches(if_none_match: str | None, tag: str) -> bool:
    """Has the client this very answer? Weak tags are as good: a proxy may have compressed it."""
    if not if_none_match:
        return False
    known = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return tag in known or "*" in known
