"""odd_service: its setting BEHAVIOUR → one of the ways in which a service can end"""

import asyncio
import logging
from datetime import timedelta
from typing import Literal

from pydantic import Field

from pipeline.events import emit
from pipeline.lifecycle import run
from pipeline.settings import Names, Seconds, Settings


class OddSettings(Settings):
    """With one setting of each shape, so that --help has all to show."""

    behaviour: Literal["obey", "end", "crash", "hang", "drain", "warn"] = Field(
        description="how it ends"
    )
    channels: Names = Field(("NYSE", "NASDAQ"), description="some names")
    interval: Seconds = Field(timedelta(seconds=5), description="some seconds")


async def main(settings: OddSettings, stop: asyncio.Event) -> None:
    match settings.behaviour:
        case "obey":
            await stop.wait()
        case "crash":
            raise ZeroDivisionError("a bug")
        case "hang":
            await asyncio.Event().wait()
        case "drain":
            await stop.wait()
            emit("progress", drained=True)
        case "warn":
            logging.getLogger("third.party").warning("odd")


if __name__ == "__main__":
    run("odd", OddSettings, main)
