"""Classical models of barriers: features of a structure and of a path, selection, baselines."""
