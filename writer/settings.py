"""What the writer reads from its environment."""

from datetime import timedelta

from pydantic import Field, PositiveInt

from pipeline.addresses import PostgresUrl
from pipeline.settings import Seconds, StreamSettings


class WriterSettings(StreamSettings):
    """Where the table is, and how much one bulk insert takes."""

    postgres_dsn: PostgresUrl = Field(description="PostgreSQL, as postgresql://writer:…@host/db")
    flush_interval: Seconds = Field(
        timedelta(seconds=5), description="seconds between two bulk inserts"
    )
    batch_rows: PositiveInt = Field(50_000, description="rows that end the wait early")
