"""The asyncio twin does what the blocking client does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gesso.client import Cancelled, Client, Done, Job, Queued
from gesso.client.aio import AsyncClient, AsyncJob
from gesso.errors import Cancelled as CancelledError
from gesso.errors import GessoError, OutOfMemory, UnknownJob, Unreachable

from .fake_front import FakeFront


def run(test: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with AsyncClient(start=False) as client:
            await asyncio.wait_for(test(client), 30)

    asyncio.run(inside())


def test_events_and_images(front: FakeFront) -> None:
    async def test(client: AsyncClient) -> None:
        job = await client.submit("generate", prompt="moss", seed=7, level="fast")
        assert job.params == {"prompt": "moss", "seed": 7}
        seen = []
        async for event in job:
            seen.append(event)
            if isinstance(event, Queued):
                front.emit(job.id, "progress", step=1)
                front.finish(job.id, b"one", b"two")
        assert [event.seq for event in seen] == [1, 2, 3]
        assert isinstance(seen[-1], Done)
        assert job.ended
        assert [image.read() for image in (await job.result()).images] == [b"one", b"two"]
        assert [event async for event in job] == []

    run(test)


def test_several_jobs_at_once(front: FakeFront) -> None:
    async def test(client: AsyncClient) -> None:
        async def one(number: int) -> bytes:
            job = await client.submit("generate", prompt=str(number))
            front.finish(job.id, str(number).encode())
            return (await job.result()).images[0].read()

        assert await asyncio.gather(*(one(n) for n in range(20))) == [str(n).encode() for n in range(20)]

    run(test)


def test_errors_cancel_and_detach(front: FakeFront) -> None:
    async def test(client: AsyncClient) -> None:
        failing = await client.submit("generate")
        front.emit(failing.id, "failed", error={"code": "out_of_memory", "message": "Too big."})
        with pytest.raises(OutOfMemory):
            await failing.result()
        cancelled = await client.submit("generate")
        await cancelled.cancel()
        assert isinstance([event async for event in cancelled][-1], Cancelled)
        with pytest.raises(CancelledError):
            await cancelled.result()
        detached = await client.submit("generate")
        await detached.detach()
        with pytest.raises(GessoError, match="no longer followed"):
            [event async for event in detached]
        front.finish(detached.id, b"late")
        again = await client.attach(detached.id)
        assert (await again.result()).images[0].read() == b"late"
        unwatched = await client.submit("generate", watch=False)
        with pytest.raises(GessoError, match="not watched"):
            await unwatched.result()
        await client.cancel(unwatched.id)
        with pytest.raises(UnknownJob):
            await client.attach("nobody")

    run(test)


def test_requests(front: FakeFront) -> None:
    async def test(client: AsyncClient) -> None:
        await client.ping()
        sha256 = await client.upload(b"picture" * 300_000)
        assert await client.download(sha256) == b"picture" * 300_000
        assert "operations" in await client.describe()
        assert (await client.status())["version"] == "0.1.0"
        job = await client.submit("edit", image=b"bytes")
        assert len(await client.jobs()) == 1
        assert (await client.job(job.id))["job"] == job.id
        assert client.welcome["principal"] == "owner"
        await client.stop()

    run(test)


def test_waiting_can_be_given_up_and_taken_up_again(front: FakeFront) -> None:
    async def test(client: AsyncClient) -> None:
        job = await client.submit("generate")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(job.result(), 0.05)
        front.finish(job.id, b"x")
        assert (await job.result()).images[0].read() == b"x"

    run(test)


def test_a_lost_connection_loses_no_event(front: FakeFront) -> None:
    async def test(client: AsyncClient) -> None:
        job = await client.submit("generate")
        await asyncio.get_running_loop().run_in_executor(None, front.restart)
        front.finish(job.id, b"x")
        assert isinstance([event async for event in job][-1], Done)

    run(test)


def test_use_outside_of_the_context(home: object) -> None:
    async def inside() -> None:
        client = AsyncClient(start=False)
        with pytest.raises(GessoError, match="not connected"):
            await client.ping()
        await client.close()
        with pytest.raises(Unreachable):
            async with client:
                pass

    asyncio.run(inside())


@pytest.mark.parametrize(("blocking", "aio"), [(Client, AsyncClient), (Job, AsyncJob)])
def test_both_faces_have_the_same_methods_and_parameters(blocking: type[Any], aio: type[Any]) -> None:
    def surface(kind: type[Any]) -> dict[str, list[str]]:
        found = {name: value for name, value in vars(kind).items() if not name.startswith("_")}
        return {
            name: [f"{p.kind}:{p.name}={p.default}" for p in inspect.signature(value).parameters.values()]
            if callable(value)
            else ["property"]
            for name, value in found.items()
        }

    ours, theirs = surface(blocking), surface(aio)
    if blocking is Job:
        ours["result"] = theirs["result"]  # asyncio sets a limit with wait_for
    assert ours == theirs
