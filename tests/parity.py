"""Print how near the models are to the reference's numbers: ``python -m tests.parity``."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.report import markdown_table

from . import goldens
from .linegraph.test_reference_models import (
    MODELS,
    forward,
    golden_batch,
    rebuilt_batch,
    reference_model,
    relative,
    step,
)

#: What is compared: whose bonds, in which precision.
WAYS = (
    ("golden bonds", golden_batch, torch.float64),
    ("float32", golden_batch, torch.float32),
    ("rebuilt", rebuilt_batch, torch.float64),
)


def main() -> None:
    """A row per model: largest relative error of outputs and of gradient norms."""
    head = ["model", "parameters", "views"]
    for way, _, _ in WAYS:
        head += [f"{way}: eval", "train", "gradient"]
    rows = []
    for name in MODELS:
        golden = goldens.load(f"model_{name}")
        model = reference_model(name)
        row: list[object] = [name, sum(p.numel() for p in model.parameters())]
        row.append(", ".join(model.views))
        for _, source, dtype in WAYS:
            with torch.no_grad():
                model = reference_model(name, dtype).eval()
                out = forward(model, source(name, golden), golden)
            done = step(name, source, dtype)
            norms = golden["train_f64_grad_norm"]
            # Gradients that are zero up to rounding are measured against a hundredth of the
            # largest, as in the tests.
            floor = 1e-2 * np.nanmax(norms)
            errors = [
                abs(np.linalg.norm(done.gradients.get(parameter, np.zeros(1))) - norm)
                / max(norm, floor)
                for parameter, norm in zip(golden["train_f64_param_names"], norms, strict=True)
                if not np.isnan(norm)
            ]
            figures = (
                relative(out, golden["eval_f64_out"]),
                relative(done.out, golden["train_f64_out"]),
            )
            row += [f"{figure:.0e}" for figure in (*figures, max(errors))]
        rows.append(row)
    print(markdown_table(head, rows))


if __name__ == "__main__":
    main()
