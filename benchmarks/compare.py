"""autobrats beside its peers on the same work: a table of ratios.

    python benchmarks/compare.py [ROW ...] [--full] [--peer PYTHON] [--data FOLDER] [--repeats N] [--save]

Without a ROW all quick ones run, with --full the slow ones too. PYTHON is the interpreter of an environment with nnU-Net,
MONAI and pyradiomics (`make peers` sets one up in .venv-peers). FOLDER holds the real data (development.md says which); a row
whose data is not there is left out, with a sentence. --save keeps the results in documentation/benchmarks.json and writes
the table of documentation/benchmarks.md anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autobrats.reporting.tables import print_table  # noqa: E402
from benchmarks.rows import ROWS  # noqa: E402
from benchmarks.side_by_side.comparison import Row, Setting  # noqa: E402
from benchmarks.side_by_side.page import HEADINGS, cells, update_page  # noqa: E402
from benchmarks.side_by_side.results import measured_here, read_results, works_lost, write_results  # noqa: E402

RESULTS, PAGE = ROOT / "documentation" / "benchmarks.json", ROOT / "documentation" / "benchmarks.md"


def main() -> int:
    """Run the rows, print a line as each is done; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in ROWS]
    parser.add_argument("row", nargs="*", choices=[*names, []], metavar="ROW", help=", ".join(names))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--peer", type=Path, default=ROOT / ".venv-peers" / "bin" / "python")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("AUTOBRATS_REALDATA", ROOT / "../shared/data"))
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    if not arguments.peer.is_file():
        parser.error(f"{arguments.peer} is no Python interpreter; run `make peers`, or say --peer PYTHON.")
    chosen = [row for row in ROWS if (row.name in arguments.row if arguments.row else row.quick or arguments.full)]
    with tempfile.TemporaryDirectory() as scratch:
        failed = [row.name for row in chosen if not _run_if_possible(row, arguments, Path(scratch))]
    return 1 if failed else 0


def _run_if_possible(row: Row, arguments: argparse.Namespace, scratch: Path) -> bool:
    """False if the row failed; one whose data are missing is left out."""
    if missing := [name for name in row.needs if not (arguments.data / name).exists()]:
        print(f"{row.name} is left out: there is no {arguments.data / missing[0]}.", flush=True)
        return True
    try:
        run(row, arguments, scratch)
    except Exception as error:
        print(f"{row.name} failed: {error}", file=sys.stderr, flush=True)
        return False
    return True


def run(row: Row, arguments: argparse.Namespace, shared: Path) -> None:
    """Measure a row, show it, and keep it if that is wanted."""
    with tempfile.TemporaryDirectory(dir=shared) as scratch:
        setting = Setting(
            ours=Path(sys.executable),
            peer=arguments.peer.absolute(),
            data=arguments.data.resolve(),
            scratch=Path(scratch),
            shared=shared,
            repeats=arguments.repeats,
            full=arguments.full,
        )
        lines = row.run(setting)
        print_table(HEADINGS, [cells(line) for line in lines], title=row.name)
        for line in lines:
            if line.note:
                print(f"  {line.note}", flush=True)
        if arguments.save:
            results = read_results(RESULTS)
            if (lost := works_lost(results, row.name, lines)) and not arguments.full:
                raise ValueError(f"it is not saved, because the page has more of it ({lost[0]}); say --full.")
            results.rows[row.name] = measured_here(lines, arguments.peer, setting.scratch)
            write_results(RESULTS, results)
            update_page(PAGE, results, [known.name for known in ROWS])


if __name__ == "__main__":
    sys.exit(main())
