"""GeneratorSettings: how fast the mock market moves."""

from pydantic import Field

from pipeline.settings import Settings


class GeneratorSettings(Settings):
    """The market itself is given (market.py); only its speed can be set."""

    generator_hz: float = Field(
        10.0,
        gt=0,
        le=100_000,
        allow_inf_nan=False,
        description="moves a second of each price; 1042 makes about 5,000 messages a second",
    )
