"""The dispatcher's alarm."""

from __future__ import annotations

import asyncio
import math

from trimtab_engine.alarm import Alarm


def test_asked_many_times_in_one_turn_it_rings_once() -> None:
    async def asked() -> int:
        rung: list[None] = []
        alarm = Alarm(asyncio.get_running_loop(), lambda: rung.append(None))
        for _ in range(5):
            alarm.soon()
        assert not rung
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return len(rung)

    assert asyncio.run(asked()) == 1


def test_an_earlier_time_replaces_a_later_one_and_a_later_one_changes_nothing() -> None:
    async def asked() -> list[float]:
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        rung: list[float] = []

        def ring() -> None:
            rung.append(loop.time())
            heard.set()

        alarm, now = Alarm(loop, ring), loop.time()
        for wanted in (now + 60, now + 0.005, math.inf, now + 30):
            alarm.at(wanted, now)
        await asyncio.wait_for(heard.wait(), 10)
        return [time - now for time in rung]

    (after,) = asyncio.run(asked())
    assert after >= 0.004


def test_it_can_be_set_again_after_it_rang() -> None:
    async def asked() -> int:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[None] = asyncio.Queue()
        alarm = Alarm(loop, lambda: heard.put_nowait(None))
        for _ in range(2):
            alarm.at(loop.time() + 0.001, loop.time())
            await asyncio.wait_for(heard.get(), 10)
        return heard.qsize()

    assert asyncio.run(asked()) == 0
