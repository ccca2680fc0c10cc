"""What the forwarder reads from its environment."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl, SecretStr

from pipeline.settings import Names, Seconds, StreamSettings


def _for_a_header(key: SecretStr) -> SecretStr:
    if not (text := key.get_secret_value()).isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII, as it goes into an HTTP header")
    return key


def _addresses(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(HttpUrl(text)).rstrip("/") for text in texts)


class ForwarderSettings(StreamSettings):
    """Where Centrifugo is, and from when on only the newest prices count."""

    centrifugo_api_url: Annotated[Names, AfterValidator(_addresses)] = Field(
        description="Centrifugo's HTTP API, as http://host:9000/api; of several nodes, by commas"
    )
    centrifugo_api_key: Annotated[SecretStr, AfterValidator(_for_a_header)] = Field(
        description="its key"
    )
    forwarder_max_lag: Seconds = Field(
        timedelta(seconds=2),
        description="seconds behind from which only each stock's newest tick is sent; 0: never",
    )
