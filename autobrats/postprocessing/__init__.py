"""Postprocessing: steps from region probabilities to better region probabilities."""
