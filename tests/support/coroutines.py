"""Steps of tests that are coroutines."""

import asyncio

from support.blocking import PATIENCE


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, PATIENCE)


async def pending(coroutine):
    """Start a task and let it run until it waits."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0.02)
    assert not task.done()
    return task
