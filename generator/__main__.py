"""generator: mock market → channels NYSE and NASDAQ"""

import asyncio
from random import Random

from generator.market import Market
from generator.publisher import Publisher
from generator.settings import GeneratorSettings
from pipeline.connections import connect
from pipeline.lifecycle import run
from pipeline.progress import emit_progress, report_progress


async def main(settings: GeneratorSettings, stop: asyncio.Event) -> None:
    market = Market(Random())  # noqa: S311  # prices, not secrets
    async with connect(settings) as redis, asyncio.TaskGroup() as tasks:
        publisher = Publisher(redis, market, settings)
        tasks.create_task(report_progress(publisher.counters, stop))
        await publisher.run(stop)
    emit_progress(publisher.counters())


if __name__ == "__main__":
    run("generator", GeneratorSettings, main)
