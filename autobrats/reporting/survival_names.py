"""How metrics of survival are called and rounded, on the screen and in the report."""

from __future__ import annotations

SHOWN: dict[str, tuple[str, int]] = {
    "accuracy": ("accuracy", 3),
    "mse": ("MSE, days²", 0),
    "median_se": ("medianSE, days²", 0),
    "std_se": ("stdSE, days²", 0),
    "spearman_r": ("SpearmanR", 3),
    "class_accuracy": ("accuracy of the classes", 3),
    "balanced_accuracy": ("balanced accuracy", 3),
    "c_harrell": ("C-index (Harrell)", 3),
    "c_ipcw": ("C-index (IPCW)", 3),
    "auc_300": ("AUC at 300 days", 3),
    "auc_450": ("AUC at 450 days", 3),
    "auc_mean": ("AUC, mean over time", 3),
    "brier_300": ("Brier score at 300 days", 3),
    "brier_450": ("Brier score at 450 days", 3),
    "brier_integrated": ("Brier score, integrated", 3),
    "interval_coverage": ("coverage of the intervals", 3),
    "interval_width": ("median width of the intervals, days", 0),
}
"""How each metric is called, with its unit, and its decimals."""
MODEL_METRICS = ("c_harrell", "accuracy", "class_accuracy", "spearman_r", "mse", "median_se", "std_se")
"""Those by which models are compared, in the order of the table."""
