"""`--help`, and an error for a wrong argument: the whole command, the interpreter's start included."""

from __future__ import annotations

from pathlib import Path

from benchmarks.side_by_side.command import measure_command
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately, column

LIMIT_S = 0.3
WORK = {"--help": (["--help"], 0), "a wrong argument": (["--no-such-option"], 2)}


def run(setting: Setting) -> list[Comparison]:
    """autobrats_train beside nnUNetv2_train."""
    folders = dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(setting.scratch))
    lines = []
    for name, (arguments, exit_code) in WORK.items():

        def ours(arguments=arguments, exit_code=exit_code):
            return measure_command([_program(setting.ours, "autobrats_train"), *arguments], exit_codes=[exit_code])

        def theirs(arguments=arguments, exit_code=exit_code):
            return measure_command([_program(setting.peer, "nnUNetv2_train"), *arguments], folders, [exit_code])

        our, their = alternately(ours, theirs, setting.repeats)
        seconds = column(our, "seconds")
        lines.append(
            Comparison(
                work=f"autobrats_train, {name}",
                against="nnUNetv2_train",
                ours=seconds,
                theirs=column(their, "seconds"),
                agreement=f"the same exit code, {exit_code}",
                note=f"the limit is {LIMIT_S} s; ours took {max(seconds):.2f} s at most",
            )
        )
    return lines


def _program(python: Path, name: str) -> Path:
    return python.parent / name


ROW = Row("start-up", run)
