"""The rows of the table, in its order; a file each."""

from benchmarks.rows import (
    export,
    forward_pass,
    loader,
    metrics,
    plan_and_preprocess,
    preprocess_study,
    radiomics,
    start_up,
    study,
    training_minutes,
    training_step,
    tuning,
)
from benchmarks.side_by_side.comparison import Row

ROWS: list[Row] = [
    forward_pass.ROW,
    study.ROW,
    study.MIRRORED_ROW,
    plan_and_preprocess.ROW,
    preprocess_study.ROW,
    loader.ROW,
    training_step.ROW,
    training_minutes.ROW,
    start_up.ROW,
    metrics.ROW,
    export.ROW,
    radiomics.ROW,
    tuning.ROW,
]
