"""Metrics of predicted survival against what became of the patients."""
