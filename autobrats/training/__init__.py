"""Fitting the weights: trainers, optimisers, schedules, checkpoints, cross-validation."""
