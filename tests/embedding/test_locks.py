"""Many batches at a time, or one alone."""

import asyncio

from ateneo.embedding.locks import ReadWriteLock


async def test_who_is_alone_waits_for_all_and_keeps_all_waiting() -> None:
    lock, order = ReadWriteLock(), []
    await lock.acquire_shared()
    await lock.acquire_shared()

    async def exclusive(name: str) -> None:
        async with lock.exclusive():
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    async def shared() -> None:
        await lock.acquire_shared()
        order.append("shared")
        lock.release_shared()

    tasks = [asyncio.create_task(work) for work in (exclusive("a"), exclusive("b"), shared())]
    await asyncio.sleep(0)
    lock.release_shared()
    await asyncio.sleep(0)
    assert order == []
    lock.release_shared()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert sorted(order) == ["a in", "a out", "b in", "b out", "shared"]
    for name in ("a", "b"):
        assert order.index(f"{name} out") == order.index(f"{name} in") + 1


async def test_who_gives_up_waiting_lets_the_others_go_on() -> None:
    lock = ReadWriteLock()
    await lock.acquire_shared()

    async def exclusive() -> None:
        async with lock.exclusive():
            raise AssertionError

    waiting = asyncio.create_task(exclusive())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(lock.acquire_shared(), 5)
