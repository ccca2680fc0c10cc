"""What the writer reads from its environment."""

from datetime import timedelta

from pydantic import Field, PositiveInt

from pipeline.settings import PostgresSettings, Seconds, StreamSettings


class WriterSettings(StreamSettings, PostgresSettings):
    """How much one bulk insert takes."""

    # A read of 5,000 costs Redis half as much again for each entry, and holds all others up.
    memory = ("batch_rows",)

    batch: PositiveInt = Field(500, description="entries asked of Redis in one read")
    flush_interval: Seconds = Field(
        timedelta(seconds=5), description="seconds between two bulk inserts"
    )
    batch_rows: PositiveInt = Field(30_000, description="rows that end the wait early")
