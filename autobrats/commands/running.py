"""How every command runs: arguments, one call, a clear sentence and an exit code."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import logging
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from autobrats import __version__
from autobrats.errors import UserError

_RARELY = (50_000, 20, 20)
"""When Python looks for garbage: its own thresholds make that a fifth of the time in which torch is imported."""


def new_parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """An argument parser with the options that every command has."""
    parser = argparse.ArgumentParser(
        prog=name, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"autobrats {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a full traceback when something goes wrong")
    return parser


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which workspace and which dataset in it."""
    parser.add_argument(
        "-w",
        "--workspace",
        type=Path,
        metavar="FOLDER",
        help="where autobrats keeps everything (default: $AUTOBRATS_WORKSPACE, else ./autobrats_workspace)",
    )
    parser.add_argument(
        "-d", "--dataset", metavar="NAME", help="the dataset (needed only if the workspace has several)"
    )


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """The model folder that a command is about; see :func:`chosen_model`."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        type=Path,
        help="model folder (default: the dataset's in the workspace)",
    )


def run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None,
    *,
    goes_on: bool = True,
) -> int:
    """Parse, call, and turn errors into one sentence on stderr.

    ``goes_on`` says whether an interrupted command goes on where it stopped when it is called again.

    The exit code is the command's, or 2 for wrong input, 1 for a failure, 130 for Ctrl-C and SIGTERM.
    """
    arguments = parser.parse_args(argv)
    _log_to_stderr()
    gc.set_threshold(*_RARELY)
    atexit.register(gc.freeze)  # nothing is left to be collected: Python would search all of torch for it, for a second
    try:
        with _sigterm_as_ctrl_c():
            return command(arguments)
    except UserError as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        without = ", without --restart," if getattr(arguments, "restart", False) else ""
        kept = f"what was finished is kept, and the same command{without} goes on from there"
        print(f"{parser.prog}: interrupted; {kept if goes_on else 'nothing was written'}.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        if arguments.debug:
            raise
        print(
            f"{parser.prog}: {type(error).__name__}: {error} (run again with --debug for the details)", file=sys.stderr
        )
        return 1


def dataset_options(arguments: argparse.Namespace) -> list[str]:
    """The options that the user gave to find the dataset, for the commands that are shown."""
    options = []
    if arguments.workspace is not None:
        options += ["-w", shlex.quote(str(arguments.workspace))]
    if arguments.dataset is not None:
        options += ["-d", arguments.dataset]
    return options


def chosen_model(arguments: argparse.Namespace) -> Path:
    """The model folder that the user named, else the dataset's in the workspace.

    Raises:
        UserError: if the dataset has none yet.
    """
    from autobrats.workspace import Workspace

    if arguments.model is not None:
        return arguments.model
    dataset = Workspace.locate(arguments.workspace).dataset(arguments.dataset)
    if not dataset.model.is_dir():
        raise UserError(
            f"The dataset {dataset.name} has no model folder yet; run autobrats_find_best_config, or name a model folder."
        )
    return dataset.model


def positive(text: str) -> float:
    """The type of an argument that must be a number above zero."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def not_negative(text: str) -> int:
    """The type of an argument that must be a whole number from zero."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return value


def count(text: str) -> int:
    """The type of an argument that must be a whole number from one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def at_least_two(text: str) -> int:
    """The type of an argument that must be a whole number from two."""
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"must be at least 2, got {text}")
    return value


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """A batch system's SIGTERM cleans up as Ctrl-C does, and says so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _log_to_stderr() -> None:
    """What autobrats logs is told to the user; of other libraries, warnings only."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    logging.getLogger("autobrats").setLevel(logging.INFO)
