"""Loops that serve start again when they die, and end when they are told to."""

import asyncio
import logging

import pytest

from notifyq.running import first_of, keep_running


async def test_a_loop_that_dies_is_run_again_and_its_bug_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = []

    async def work() -> None:
        runs.append(len(runs))
        if len(runs) < 3:
            raise RuntimeError("a bug")

    with caplog.at_level(logging.ERROR, "notifyq.running"):
        await keep_running("lane", work, pause_s=0)
    assert runs == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "event=lane.broken error=a bug"
    ] * 2
    assert all(record.exc_info for record in caplog.records)


async def test_a_database_that_is_away_is_logged_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = []

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ConnectionRefusedError("nobody listens")

    await keep_running("hints", work, pause_s=0)
    assert caplog.records[0].exc_info is None


async def test_it_stops_between_two_runs() -> None:
    stop = asyncio.Event()
    runs = []

    async def work() -> None:
        runs.append(1)
        stop.set()
        raise RuntimeError("while stopping")

    await asyncio.wait_for(keep_running("lane", work, pause_s=60, stop=stop), 5)
    assert runs == [1]


async def test_a_cancellation_reaches_the_work_and_is_waited_for() -> None:
    started, ended = asyncio.Event(), []

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    running = asyncio.create_task(keep_running("lane", work, pause_s=0))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == [True]


async def test_first_of_leaves_no_task_behind() -> None:
    one, other = asyncio.Event(), asyncio.Event()
    one.set()
    before = len(asyncio.all_tasks())
    await first_of(one, other, timeout_s=5)
    await first_of(other, timeout_s=0.01)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
