"""What the bridge reads from its environment."""

from datetime import timedelta

from pydantic import Field, PositiveInt

from pipeline.addresses import database_of
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

    def control_channel(self, node: str) -> str:
        """Where bridges that listen on this node tell each other what they appended.

        Pub/sub knows no databases, streams do. Empty: the stream's own node.
        """
        parts = (database_of(self.redis_url), node)
        return self.helper_key("control", *filter(None, parts))
