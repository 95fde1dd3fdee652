from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autobrats.errors import UserError
from autobrats.workers import Done, default_workers, kept_workers, map_in_workers


def square(number: int) -> int:
    if number == 3:
        raise ValueError("three is not liked")
    if number == 4:
        raise UserError("Give another number than 4.")
    return number * number


def threads_and_pid(_: int) -> tuple[str, str, int]:
    import numpy  # noqa: F401  (the variables must be there before it is imported)

    return os.environ["OMP_NUM_THREADS"], os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"], os.getpid()


def kill_any_worker(item: tuple[int, int]) -> int:
    """Dies in every process but the one whose id is given."""
    number, main = item
    if number == 2 and os.getpid() != main:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def crash_on_two(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def workers() -> set[psutil.Process]:
    """Of this process, at the moment."""
    children = psutil.Process().children(recursive=True)
    return {child for child in children if "resource_tracker" not in " ".join(child.cmdline())}


def workers_after(results: Iterator[Done[int, int]]) -> set[psutil.Process]:
    """When all work is done."""
    list(results)
    return workers()


def gone(processes: set[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(list(processes), timeout=30)
    return not alive


def sleep_long(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exception_fails_its_own_item_only(workers: int) -> None:
    done = {d.item: d for d in map_in_workers(square, range(6), workers=workers)}
    assert {item: d.result for item, d in done.items()} == {0: 0, 1: 1, 2: 4, 3: None, 4: None, 5: 25}
    assert done[3].error == "ValueError: three is not liked"
    assert "in square" in done[3].traceback
    assert done[4].error == "Give another number than 4." and not done[4].traceback
    assert done[5].error is None


def test_workers_are_other_processes_with_so_many_threads() -> None:
    results = [d.result for d in map_in_workers(threads_and_pid, [0], workers=1, threads_per_worker=3)]
    threads, itk_threads, pid = results[0]
    assert (threads, itk_threads) == ("3", "3")
    assert pid != os.getpid()


def test_a_killed_worker_is_named_and_its_work_done_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    items = [(number, os.getpid()) for number in range(5)]
    with caplog.at_level(logging.WARNING):
        done = list(map_in_workers(kill_any_worker, items, workers=2, describe=lambda item: f"case {item[0]}"))
    assert sorted(d.result for d in done) == [0, 1, 2, 3, 4]
    assert "SIGKILL: killed, most likely out of memory" in caplog.text
    assert "case 2" in caplog.text
    assert "with 1 worker." in caplog.text and "in the main process" in caplog.text


def test_an_item_that_crashes_a_lone_worker_is_given_up_and_the_others_are_done() -> None:
    done = {d.item: d for d in map_in_workers(crash_on_two, range(5), workers=2)}
    assert {item for item, d in done.items() if d.error is None} == {0, 1, 3, 4}
    assert "segmentation fault" in done[2].error


def test_leaving_the_loop_ends_the_workers() -> None:
    results = map_in_workers(square, range(50), workers=2)
    next(results)
    before = workers()
    assert len(before) == 2
    results.close()
    assert gone(before)


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_orphans(tmp_path: Path, sent: int) -> None:
    script = tmp_path / "no_main_guard.py"
    script.write_text(
        textwrap.dedent(f"""
        from test_workers import sleep_long
        from autobrats.workers import map_in_workers
        list(map_in_workers(sleep_long, [{str(tmp_path)!r}] * 4, workers=2))
        """)
    )
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])}
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL, env=os.environ | paths)
    deadline = time.monotonic() + 120
    while len(pids := [int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()]) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(sent)
    process.wait(30)
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers outlived their parent"
        time.sleep(0.05)


def test_kept_workers_do_the_next_work_too() -> None:
    with kept_workers():
        first = workers_after(map_in_workers(square, range(3), workers=2))
        assert len(first) == 2
        assert workers_after(map_in_workers(square, range(3), workers=2)) == first
        other = workers_after(map_in_workers(square, range(3), workers=1))
        assert len(other) == 1 and not other & first, "of another number others are started, and these end"
        results = map_in_workers(square, range(50), workers=1)
        next(results)
        results.close()
        assert gone(other), "leaving the loop ends them"
        assert len(workers_after(map_in_workers(square, range(3), workers=1))) == 1
    assert not workers()
    assert not workers_after(map_in_workers(square, range(3), workers=1))


def test_kept_workers_do_less_work_too() -> None:
    with kept_workers():
        first = workers_after(map_in_workers(square, range(3), workers=2))
        assert workers_after(map_in_workers(square, [1], workers=2)) == first
        assert workers_after(map_in_workers(square, range(3), workers=2)) == first
    with kept_workers():
        one = workers_after(map_in_workers(square, [1], workers=2))
        assert len(one) == 1, "nothing is started in vain"
        assert workers_after(map_in_workers(square, [1], workers=2)) == one
        assert len(workers_after(map_in_workers(square, range(3), workers=2))) == 2


def test_work_that_ends_after_the_block_leaves_no_workers() -> None:
    with kept_workers():
        results = map_in_workers(square, [0, 1, 2], workers=2)
        next(results)
    assert not workers_after(results)


def test_a_killed_worker_is_not_kept() -> None:
    with kept_workers():
        items = [(number, os.getpid()) for number in range(4)]
        done = list(map_in_workers(kill_any_worker, items, workers=2))
        assert sorted(one.item for one in done) == items
        assert [one.result for one in map_in_workers(square, [2], workers=1)] == [4]


def test_a_negative_number_of_workers_is_refused() -> None:
    with pytest.raises(UserError, match="0 or more, not -1"):
        list(map_in_workers(square, [1], workers=-1))


def test_default_workers_fit_the_memory() -> None:
    assert 1 <= default_workers() <= (os.cpu_count() or 1)
    assert default_workers(1e6) == 1
