"""Patches, augmentation and batches."""
