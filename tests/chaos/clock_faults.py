"""Faults of clocks: that of one process steps to and fro, the machine's stays as it is."""

from functools import partial

from tests.chaos.scene import Fault, Scene
from tests.chaos.stack import SERVICES

OCTAVES = (1.0, 7.0)  # steps of 2 to 128 seconds, as often short as long
HOLDS = (1.5, 4.0)  # seconds


async def step(service: str, scene: Scene) -> None:
    """Back and forward, or the other way round, and right again."""
    clock = scene.stack.clocks[scene.one_of(service)]
    sign = scene.random.choice((-1, 1))
    try:
        for direction in (sign, -sign):
            clock.step(direction * 2 ** scene.random.uniform(*OCTAVES))
            await scene.some(HOLDS)
    finally:
        clock.step(0)


def clock_faults() -> dict[str, Fault]:
    """By name, in a fixed order: a seed draws from it."""
    return {f"clock:{service}": partial(step, service) for service in SERVICES}
