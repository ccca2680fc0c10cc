"""in_sum(): what Redis knows of each shard, as one status."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from api.shapes import Gaps, Group, Stream
from pipeline.tick import id_pair


class RedisStatus(NamedTuple):
    """The part of the status that Redis knows."""

    groups: list[Group]
    stream: Stream
    bridge_gaps: Gaps
    dead_letters: dict[str, int]
    overrun: dict[str, int]


def in_sum(shards: Sequence[RedisStatus]) -> RedisStatus:
    """Of one, that itself. Counts are added up; ages and ids are those of the furthest."""
    if len(shards) == 1:
        return shards[0]
    gaps = [each.bridge_gaps for each in shards]
    lasting = [each.last for each in gaps if each.last]
    return RedisStatus(
        [_group(parts) for parts in zip(*(each.groups for each in shards), strict=True)],
        Stream(
            length=sum(each.stream.length for each in shards),
            appended=sum(each.stream.appended for each in shards),
            last_id=max(
                (each.stream.last_id for each in shards), key=lambda each: id_pair(each.encode())
            ),
        ),
        Gaps(
            count=sum(each.count for each in gaps),
            last=max(lasting, key=lambda gap: gap.end_time, default=None),
        ),
        _added(each.dead_letters for each in shards),
        _added(each.overrun for each in shards),
    )


def _group(parts: Sequence[Group]) -> Group:
    entries = [part.lag_entries for part in parts]
    return Group(
        name=parts[0].name,
        lag_entries=None if None in entries else sum(each or 0 for each in entries),
        lag_seconds=max(part.lag_seconds for part in parts),
        pending=sum(part.pending for part in parts),
        consumers=min(part.consumers for part in parts),
    )


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)
