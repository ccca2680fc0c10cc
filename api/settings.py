"""ApiSettings: where the api listens, and what one reader may cost the database."""

from datetime import timedelta

from pydantic import Field, PositiveInt

from pipeline.addresses import PostgresUrl
from pipeline.settings import Names, Seconds, Settings


class ApiSettings(Settings):
    """PostgreSQL has the history; Redis is asked for the status only."""

    postgres_dsn: PostgresUrl = Field(
        description="PostgreSQL, as postgresql://user:password@host:port/database"
    )
    stream_groups: Names = Field(
        ("forwarder", "writer"), description="consumer groups that the status tells about"
    )
    api_host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    api_port: PositiveInt = Field(8000, le=65535, description="port to listen on")
    api_pool_size: PositiveInt = Field(
        10, ge=2, description="connections to PostgreSQL; half of them at most for long answers"
    )
    api_statement_timeout: Seconds = Field(
        timedelta(seconds=30), description="seconds that one query may take"
    )
