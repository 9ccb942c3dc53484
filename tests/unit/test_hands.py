"""Many batches at a time, or one alone."""

import asyncio

from ateneo.services.hands import Hands


async def test_who_is_alone_waits_for_all_and_keeps_all_waiting() -> None:
    hands, order = Hands(), []
    await hands.enter()
    await hands.enter()

    async def alone(name: str) -> None:
        async with hands.alone():
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    async def shared() -> None:
        await hands.enter()
        order.append("shared")
        hands.leave()

    tasks = [asyncio.create_task(work) for work in (alone("a"), alone("b"), shared())]
    await asyncio.sleep(0)
    hands.leave()
    await asyncio.sleep(0)
    assert order == []
    hands.leave()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert sorted(order) == ["a in", "a out", "b in", "b out", "shared"]
    for name in ("a", "b"):
        assert order.index(f"{name} out") == order.index(f"{name} in") + 1


async def test_who_gives_up_waiting_lets_the_others_go_on() -> None:
    hands = Hands()
    await hands.enter()

    async def alone() -> None:
        async with hands.alone():
            raise AssertionError

    waiting = asyncio.create_task(alone())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait_for(hands.enter(), 5)
