"""Optuna studies over out-of-fold results."""
