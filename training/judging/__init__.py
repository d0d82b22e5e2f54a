"""Judging models by their predictions: scores, and the report."""
