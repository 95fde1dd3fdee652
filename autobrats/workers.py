"""The pool of worker processes that says why a worker died, and goes on.

Processes are started by loky, which never forks a process with threads, does not run the caller's main script again
(so that console scripts, notebooks and scripts without a main guard all work), and notices a dead worker.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from autobrats.devices import available_ram_gib, core_count
from autobrats.errors import UserError

if TYPE_CHECKING:
    from loky.process_executor import ProcessPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLOSC_NTHREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""Of the environment: how many threads numerical libraries take."""
_CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """What became of one item.

    Attributes:
        item: as it was given.
        result: what the function returned; None if it failed.
        error: None, or one sentence of why it failed.
        traceback: of the exception in the worker; empty for a :class:`UserError` and for a dead worker.
    """

    item: Item
    result: Result | None
    error: str | None = None
    traceback: str = ""


def default_workers(memory_gib_per_item: float | None = None) -> int:
    """As many workers as there are cores for this process, fewer if so many items do not fit the free memory.

    Four fifths of the free memory are given away. At least 1.
    """
    workers = core_count()
    if memory_gib_per_item:
        workers = min(workers, int(0.8 * available_ram_gib() / memory_gib_per_item))
    return max(1, workers)


def map_in_workers(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    describe: Callable[[Item], str] = str,
    threads_per_worker: int = 1,
) -> Iterator[Done[Item, Result]]:
    """Call ``function`` on every item in worker processes, and yield what became of each as it completes.

    An exception fails its item only. If a worker process dies, the log says of which signal, and the items without a
    result are tried again with half the workers and in the end in this process; an item that alone crashed the only
    worker (a segmentation fault and the like) is given up, because it would take this process with it.

    Leaving the loop early, or Ctrl-C, ends all workers at once.

    Args:
        function: importable by its name; it and the items are sent to the workers.
        workers: so many processes; 0 runs everything in this process.
        describe: how an item is called in messages.
        threads_per_worker: numerical threads in each worker, set before numpy or torch is imported there.

    Raises:
        UserError: if ``workers`` is negative.
    """
    if workers < 0:
        raise UserError(f"The number of workers must be 0 or more, not {workers}.")
    waiting = list(items)
    asked, workers = workers, min(workers, len(waiting))
    while workers and waiting:
        death = yield from _run_pool(function, waiting, workers, threads_per_worker, asked)
        if death is None:
            break
        if workers == 1 and death in _CRASHES:
            culprit = waiting.pop(0)
            _log.error("%s: its worker process died (%s); given up.", describe(culprit), _explain(death))
            yield Done(culprit, None, f"the worker process died ({_explain(death)})")
            continue
        asked = workers = workers // 2
        again = f"with {workers} worker{'s'[: workers != 1]}" if workers else "in the main process"
        names = ", ".join(describe(item) for item in waiting[:3]) + (", ..." if len(waiting) > 3 else "")
        _log.warning(
            "A worker process died (%s). %d unfinished (%s): trying again %s.",
            _explain(death),
            len(waiting),
            names,
            again,
        )
    for item in waiting:
        yield _done(item, _call(function, item))


@contextmanager
def kept_workers() -> Iterator[None]:
    """Within this, the processes of one :func:`map_in_workers` are kept for the next that asks for as many.

    Starting them, with the imports of numerical libraries, takes a second and more. They end with the block.
    """
    global _kept
    before, _kept = _kept, _Kept()
    try:
        yield
    finally:
        kept, _kept = _kept, before
        kept.end()


class _Kept:
    """At most one pool that nobody uses at the moment."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._sizes = (0, 0)
        self._ended = False

    def take(self, sizes: tuple[int, int]) -> ProcessPoolExecutor | None:
        """The pool, if it has so many workers with so many threads."""
        if self._sizes != sizes:
            return None
        pool, self._pool = self._pool, None
        return pool

    def put(self, pool: ProcessPoolExecutor, sizes: tuple[int, int]) -> None:
        """Keep a pool, and end the one that was kept before."""
        self._end_pool()
        self._pool, self._sizes = pool, sizes
        if self._ended:
            self._end_pool()

    def end(self) -> None:
        """End its processes, now and whatever is still put."""
        self._ended = True
        self._end_pool()

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None


_kept: _Kept | None = None


def _run_pool(
    function: Callable[[Item], Result], waiting: list[Item], workers: int, threads: int, asked: int
) -> Generator[Done[Item, Result], None, str | None]:
    """Yield a Done for every finished item and take it out of ``waiting``; return the cause if a worker died.

    Args:
        asked: kept processes are taken if they are so many, or as many as ``workers``, which fewer items made fewer.
    """
    from concurrent.futures import FIRST_COMPLETED, wait

    from loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

    kept, sizes = _kept, (asked, threads)
    executor = None if kept is None else kept.take(sizes)
    if executor is None:
        sizes = (workers, threads)
        executor = None if kept is None else kept.take(sizes)
    if executor is None:
        executor = ProcessPoolExecutor(
            workers,
            initializer=_start_worker,
            initargs=(os.getpid(),),
            env={variable: str(threads) for variable in THREAD_VARIABLES},
        )
    ended_well = False
    running: dict[Any, Item] = {}
    queue = iter(list(waiting))
    try:
        while True:
            # Not all at once: results that nobody has fetched yet would pile up in memory.
            while len(running) < 2 * workers:
                try:
                    item = next(queue)
                except StopIteration:
                    break
                running[executor.submit(_call, function, item)] = item
            if not running:
                ended_well = True
                return None
            broken = None
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                item = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    broken = future.exception()
                    continue
                outcome = future.result()
                del waiting[next(index for index, other in enumerate(waiting) if other is item)]
                yield _done(item, outcome)
            if broken is not None:
                return _cause(broken)
    except BrokenProcessPool as error:
        return _cause(error)
    finally:
        if ended_well and kept is not None:
            kept.put(executor, sizes)
        else:
            executor.shutdown(wait=True, kill_workers=not ended_well)


def _call(function: Callable[[Item], Result], item: Item) -> tuple[Result | None, str | None, str]:
    """Result, error and traceback: exceptions become text here, because not every exception can be sent."""
    try:
        return function(item), None, ""
    except UserError as error:
        return None, str(error), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}", traceback.format_exc()


def _done(item: Item, outcome: tuple[Result | None, str | None, str]) -> Done[Item, Result]:
    return Done(item, *outcome)


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        import psutil

        while psutil.pid_exists(parent) and (sys.platform == "win32" or os.getppid() == parent):
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _cause(error: BaseException) -> str:
    """The signal or exit code of the dead worker, from loky's message, for example ``SIGKILL``."""
    found = re.search(r"exit codes of the workers are \{(.*)\}", str(error))
    if not found:
        return " ".join(str(error).split()) or type(error).__name__
    codes = [re.sub(r"\(-?\d+\)$", "", code.strip()) for code in found.group(1).split(",")]
    # loky ends the other workers by SIGTERM after the first has died.
    return next((code for code in codes if code != "SIGTERM"), codes[0])


def _explain(death: str) -> str:
    meanings = {
        "SIGKILL": "SIGKILL: killed, most likely out of memory",
        "SIGSEGV": "SIGSEGV: segmentation fault",
        "SIGTERM": "SIGTERM: ended from outside",
    }
    return meanings.get(death, death)
