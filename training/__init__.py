"""Everything that learns or judges: data sets, recipes, the training loop, metrics, reports."""
