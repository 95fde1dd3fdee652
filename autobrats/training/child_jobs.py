"""Trainings in processes of their own: started, watched, asked to stop, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from autobrats.workers import THREAD_VARIABLES

PARENT_VARIABLE = "AUTOBRATS_PARENT"
"""The process by whose end a child ends, too."""
STOPPED_CODE = 130
"""The exit code of a command that was asked to stop."""
_MEANINGS = {signal.SIGKILL: "most likely out of memory", signal.SIGSEGV: "segmentation fault"}


class ChildJob:
    """One process; what it says goes to a log.

    Args:
        command: program and arguments.
        log: a file that is added to.
        threads: numerical threads of the process, unless the environment says otherwise.
    """

    def __init__(self, command: Sequence[str], log: Path, threads: int) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._was_asked = False
        self._log_start = log.stat().st_size if log.is_file() else 0
        environment = {variable: str(threads) for variable in THREAD_VARIABLES} | dict(os.environ)
        environment[PARENT_VARIABLE] = str(os.getpid())
        with open(log, "ab") as output:
            # In a session of its own: Ctrl-C in the terminal reaches it through its parent, once.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def state(self) -> str:
        """``finished``, ``stopped`` or ``failed``, of a process that has ended."""
        code = self._process.returncode
        if code == 0:
            return "finished"
        return "stopped" if code == STOPPED_CODE or (self._was_asked and code < 0) else "failed"

    @property
    def reason(self) -> str:
        """Why a process failed: the signal that ended it, or its last word, without a full stop."""
        code = self._process.returncode
        if code < 0:
            name = signal.Signals(-code).name
            meaning = _MEANINGS.get(signal.Signals(-code))
            return f"its process was ended by {name}{f' ({meaning})' if meaning else ''}; its log is {self.log}"
        with open(self.log, "rb") as file:
            file.seek(self._log_start)
            said = file.read().decode("utf-8", "replace").splitlines()
        last = next((line for line in reversed(said) if line.startswith("autobrats_")), "")
        words = last.partition(": ")[2].rstrip(".") or f"its process ended with exit code {code}"
        return f"{words}; its log is {self.log}"

    def stop(self) -> None:
        """Ask it to write a checkpoint and leave."""
        self._was_asked = True
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._was_asked = True
        self._process.kill()
        self._process.wait()


class StopRequests:
    """How often SIGINT or SIGTERM has come."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1


@contextlib.contextmanager
def counted_stop_requests() -> Iterator[StopRequests]:
    """Within the block, SIGINT and SIGTERM are counted and do nothing else."""
    requests = StopRequests()
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    before = {number: signal.signal(number, requests) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """In a process that :class:`ChildJob` started: stop in good order when the parent is no more."""
    if PARENT_VARIABLE not in os.environ:
        return
    parent = int(os.environ.pop(PARENT_VARIABLE))

    def watch() -> None:
        import psutil

        while psutil.pid_exists(parent) and os.getppid() == parent:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
