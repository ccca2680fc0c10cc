"""What the forwarder reads from its environment."""

from datetime import timedelta

from pydantic import Field, HttpUrl, SecretStr

from pipeline.settings import Seconds, StreamSettings


class ForwarderSettings(StreamSettings):
    """Where Centrifugo is, and from when on only the newest prices count."""

    centrifugo_api_url: HttpUrl = Field(
        description="Centrifugo's HTTP API, as http://host:9000/api"
    )
    centrifugo_api_key: SecretStr = Field(description="its key")
    forwarder_max_lag: Seconds = Field(
        timedelta(seconds=2),
        description="seconds behind from which only each stock's newest tick is sent; 0: never",
    )
