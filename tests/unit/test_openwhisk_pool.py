"""Containers that nobody needs are ended."""

from __future__ import annotations

import asyncio

import msgspec

from faasctl.local.openwhisk.runtime.container import Code
from faasctl.local.openwhisk.runtime.pool import ContainerPool, Owner, Room
from faasctl.local.openwhisk.settings import Settings

SOURCE = Code(content=b"def main(args):\n    return {}\n")
SETTINGS = Settings(containers=2, idle_seconds=600)


def owner(name: str) -> Owner:
    return Owner("guest", f"guest/{name}", 1)


async def started(pool: ContainerPool, name: str) -> Room:
    room = await pool.acquire(owner(name), kind="python:3.11", api_host="", log_limit=1)
    if not room.container.alive:
        await room.container.init(SOURCE)
    return room


async def ended(room: Room) -> None:
    async with asyncio.timeout(10):
        while room.container.alive:
            await asyncio.sleep(0.02)


def test_an_idle_container_is_ended_after_its_time() -> None:
    """Given a container that was given back, when its time has passed, then its process is gone."""

    async def play() -> None:
        pool = ContainerPool(msgspec.structs.replace(SETTINGS, idle_seconds=0.1))
        room = await started(pool, "a")
        pool.release(room, reusable=True)
        await ended(room)
        await pool.close()

    asyncio.run(play())


def test_the_longest_idle_makes_room_for_another_action() -> None:
    """Given two idle containers and room for two, when a third action comes, then the longer idle one goes."""

    async def play() -> tuple[bool, bool]:
        pool = ContainerPool(SETTINGS)
        first, second = await started(pool, "a"), await started(pool, "b")
        pool.release(first, reusable=True)
        pool.release(second, reusable=True)
        third = await started(pool, "c")
        await ended(first)
        alive = second.container.alive, third.container.alive
        await pool.close()
        return alive

    assert asyncio.run(play()) == (True, True)


def test_activations_wait_for_a_container_in_turn() -> None:
    """Given all containers at work, when two more are asked for, then they come as soon as others are given back."""

    async def play() -> list[str]:
        pool = ContainerPool(SETTINGS)
        busy = [await started(pool, "a"), await started(pool, "b")]
        came: list[str] = []

        async def ask(name: str) -> None:
            room = await pool.acquire(owner(name), kind="python:3.11", api_host="", log_limit=1)
            came.append(name)
            pool.release(room, reusable=False)

        waiting = [asyncio.create_task(ask(name)) for name in ("c", "d")]
        await asyncio.sleep(0)
        assert came == []
        for room in busy:
            pool.release(room, reusable=True)
        await asyncio.gather(*waiting)
        await pool.close()
        return came

    assert asyncio.run(play()) == ["c", "d"]


def test_one_that_gives_up_waiting_leaves_no_gap() -> None:
    """Given two waiting, when the first is cancelled, then the second is served."""

    async def play() -> None:
        pool = ContainerPool(msgspec.structs.replace(SETTINGS, containers=1))
        busy = await started(pool, "a")
        impatient = asyncio.create_task(started(pool, "b"))
        patient = asyncio.create_task(started(pool, "c"))
        await asyncio.sleep(0)
        impatient.cancel()
        pool.release(busy, reusable=True)
        async with asyncio.timeout(10):
            room = await patient
        pool.release(room, reusable=True)
        await pool.close()

    asyncio.run(play())
