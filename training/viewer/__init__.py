"""Predictions to look at: a crystal and its hops in 3D, what percolates, and the numbers."""
