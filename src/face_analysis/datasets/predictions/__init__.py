"""Predictions on disk: read, written, and made whole tables."""
