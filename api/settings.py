"""ApiSettings: where the api listens, and what one reader may cost the database."""

from datetime import timedelta

from pydantic import Field, PositiveInt

from pipeline.addresses import PostgresUrl
from pipeline.settings import Names, PostgresSettings, Seconds, Settings


class ApiSettings(Settings, PostgresSettings):
    """PostgreSQL has the history; Redis is asked for the status only."""

    postgres_read_dsn: PostgresUrl | None = Field(
        None, description="its streaming replica, for answers that it has all the rows of"
    )
    postgres_pooled: bool = Field(
        default=False,
        description="1: PgBouncer in transaction mode is between; settings go with each question",
    )
    stream_groups: Names = Field(
        ("forwarder", "writer"), description="consumer groups that the status tells about"
    )
    api_host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    api_port: PositiveInt = Field(8000, le=65535, description="port to listen on")
    api_pool_size: PositiveInt = Field(
        10,
        ge=2,
        description="connections to PostgreSQL; averages, and long answers, have half each",
    )
    api_statement_timeout: Seconds = Field(
        timedelta(seconds=30), description="seconds that one query may take"
    )
