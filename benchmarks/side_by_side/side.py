"""One side of a comparison: a script in a process of its own, in our environment or the peer's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

BENCHMARKS = Path(__file__).parents[1]


class Side:
    """A script of ``benchmarks/sides`` that stays alive between its repetitions (see :mod:`protocol`).

    Args:
        python: the interpreter of the environment that it runs in.
        script: name of the file in ``benchmarks/sides``, without its ending.
        options: what its ``prepare`` is given; anything that JSON has.
        environment: variables beside those of this process.
    """

    def __init__(
        self, python: str | Path, script: str, options: dict[str, Any], environment: dict[str, str] | None = None
    ) -> None:
        self.script = script
        self._process = subprocess.Popen(
            [str(python), str(BENCHMARKS / "sides" / f"{script}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(BENCHMARKS.parent)} | (environment or {}),
        )
        self._ask(options)

    def repeat(self) -> dict[str, Any]:
        """Do the work once more; what the script's ``repeat`` measured.

        Raises:
            RuntimeError: if the process ended.
        """
        return self._ask(None)

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, request: dict[str, Any] | None) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{self.script} ended with exit code {self._process.wait()}; its reason stands above.")
        return json.loads(answer)
