"""Which shard a tick is of, the settings of each, and whether a process of several is well."""

import asyncio
import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from redis.crc import key_slot

from bridge.backlog import Piece
from bridge.settings import BridgeSettings
from pipeline.settings import Settings
from pipeline.shards import beat_for_all, shard_of
from tests.waiting import wait_until
from writer.settings import WriterSettings

FOUND = [
    [0, 0, 0, 0, 0, 0],
    [1, 1, 0, 0, 1, 0],
    [0, 0, 2, 0, 0, 0],
    [15, 15, 12, 12, 15, 0],
]


def settings(**more: object) -> Settings:
    return Settings.model_validate({"redis_url": "redis://127.0.0.1/0", **more})


def test_the_shard_of_a_name_is_the_same_for_ever() -> None:
    """Worked out once: another answer would send a stock's ticks to two streams."""
    names = (b"TSLA", b"NFLX", b"DIS", b"AAPL", "\u6771\u4eac".encode(), b"")
    found = [[shard_of(name + b":1.5", shards) for name in names] for shards in (1, 2, 3, 16)]
    assert found == FOUND


def test_the_name_is_all_that_is_before_the_last_colon() -> None:
    for shards in (2, 3, 7):
        assert shard_of(b"A:B:1", shards) == shard_of(b"A:B:22222", shards)
    assert {shard_of(b"A:%d" % number, 16) for number in range(100)} == {shard_of(b"A:0", 16)}
    assert {shard_of(b"A:B%d:1" % number, 16) for number in range(500)} == set(range(16))


def test_each_message_is_in_exactly_one_shard_and_keeps_its_place_and_channel() -> None:
    messages = tuple(b"S%d:%d" % (number % 50, number) for number in range(1000))
    channels = tuple(b"NYSE" if number % 2 else b"NASDAQ" for number in range(1000))
    whole = Piece(1, channels, messages, 12_000)
    parts = [whole.of_shard(shard, 3) for shard in range(3)]
    found = [pair for part in parts for pair in zip(part.channels, part.messages, strict=True)]
    assert sorted(found) == sorted(zip(channels, messages, strict=True))
    for part in parts:
        numbers = [int(message.split(b":")[1]) for message in part.messages]
        assert numbers == sorted(numbers)
        assert len(numbers) > 100


def test_one_stream_is_as_it_was() -> None:
    one = settings()
    assert one.each_shard() == {0: one}
    assert (one.stream, one.number, one.helper_key("lease")) == ("ticks", None, "{ticks}:lease")


def test_each_shard_has_keys_of_its_own_in_one_slot_of_a_cluster() -> None:
    shards = settings(shards=3).each_shard()
    assert [each.stream for each in shards.values()] == ["ticks:{0}", "ticks:{1}", "ticks:{2}"]
    assert [each.number for each in shards.values()] == [0, 1, 2]
    slots = set()
    for each in shards.values():
        keys = [each.stream, each.helper_key("lease"), each.helper_key("alive", "writer", "{x}")]
        assert len({key_slot(key.encode()) for key in keys}) == 1
        slots.add(key_slot(each.stream.encode()))
    assert len(slots) == 3


def test_a_process_may_serve_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(settings(shards=4, shard="1, 3").each_shard()) == [1, 3]
    for several in ("0", "1", "0,2", " 3 "):
        monkeypatch.setenv("SHARD", several)
        assert Settings(redis_url="redis://127.0.0.1/0", shards=4).shard == tuple(
            int(number) for number in several.split(",")
        )
    monkeypatch.delenv("SHARD")
    for wrong in ("4", "-1", "one", "1,,x"):
        with pytest.raises(ValidationError):
            settings(shards=4, shard=wrong)
    with pytest.raises(ValidationError):
        settings(shards=0)


def test_shards_of_a_process_share_what_it_may_keep_in_memory() -> None:
    postgres = {"postgres_dsn": "postgresql://127.0.0.1/pipeline"}
    redis = {"redis_url": "redis://127.0.0.1/0", "shards": 4, "shard": (1, 3)}
    bridge = BridgeSettings.model_validate(redis | {"bridge_buffer": 1000})
    writer = WriterSettings.model_validate(redis | postgres | {"batch_rows": 500})
    assert [each.bridge_buffer for each in bridge.each_shard().values()] == [500, 500]
    assert [each.together for each in bridge.each_shard().values()] == [2, 2]
    assert [each.batch_rows for each in writer.each_shard().values()] == [250, 250]
    assert bridge.model_copy(update={"shards": 1}).together == 1


async def test_a_process_has_made_progress_when_its_last_shard_has(tmp_path: Path) -> None:
    whole = settings(shards=2, heartbeat_file=tmp_path / "alive")
    files = [tmp_path / f"alive.{number}" for number in range(2)]
    assert [each.heartbeat_file for each in whole.each_shard().values()] == files
    task = asyncio.create_task(beat_for_all(whole))
    try:
        for file, age in zip(files, (1000, 2000), strict=True):
            file.touch()
            os.utime(file, (age, age))
        await wait_until(lambda: modified(tmp_path / "alive") == 1000)
        os.utime(files[0], (3000, 3000))
        await wait_until(lambda: modified(tmp_path / "alive") == 2000)
    finally:
        task.cancel()


def modified(file: Path) -> float:
    return file.stat().st_mtime if file.exists() else 0.0
