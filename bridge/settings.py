"""What the bridge reads from its environment."""

from datetime import timedelta

from pydantic import Field, PositiveInt

from bridge.resp import database_of
from pipeline.settings import Names, Seconds, Settings


class BridgeSettings(Settings):
    """Which channels it follows, and how much it keeps while Redis takes no appends."""

    memory = ("bridge_buffer",)

    channels: Names = Field(("NYSE", "NASDAQ"), description="pub/sub channels, one per exchange")
    stream_groups: Names = Field(
        ("forwarder", "writer"),
        description="groups that must have had an entry before it is trimmed",
    )
    bridge_buffer: PositiveInt = Field(
        500_000, description="messages kept while they can't be appended; then the oldest go"
    )
    bridge_lease: Seconds = Field(
        timedelta(seconds=1),
        ge=timedelta(seconds=0.1),
        description="seconds after which a silent bridge loses its lease",
    )
    bridge_replay: Seconds = Field(
        timedelta(seconds=10),
        description="seconds of appended messages kept, for a Redis that lost them",
    )

    stream_max_entries: PositiveInt = Field(
        5_000_000,
        description="entries that the stream may have; then the oldest go, needed or not",
    )

    @property
    def control_channel(self) -> str:
        """Where bridges of this stream tell each other what they appended.

        Pub/sub knows no databases, streams do.
        """
        database = database_of(self.redis_url)
        return self.helper_key("control", *([database] if database else []))
