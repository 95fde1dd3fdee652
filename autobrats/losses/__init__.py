"""Losses: one file a loss."""
