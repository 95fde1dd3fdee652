"""The rows of the table, in its order; a file each."""

from benchmarks.rows import start_up
from benchmarks.side_by_side.comparison import Row

ROWS: list[Row] = [start_up.ROW]
