"""What tests of the containers share: the one stack, and the view from outside of it."""

from collections.abc import AsyncIterator

import pytest

from tests.docker.stack import Stack
from tests.outside import Outside, outside


@pytest.fixture(name="outside")
async def whole_system(stack: Stack) -> AsyncIterator[Outside]:
    async with outside(stack) as there:
        yield there
