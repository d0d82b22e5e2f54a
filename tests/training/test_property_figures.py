"""What the history of a pre-training says of every property."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score
from torch import Tensor, nn

from tests.property_tasks import RECIPE, Sums, known, task_of
from training.callbacks import read_history
from training.fit import Machine, fit
from training.predict import outputs
from training.properties import Property
from training.property_task import PropertyTask, columns
from training.recipe import Recipe
from training.splits import Split

QUIET = Machine("cpu", workers=0, progress=False)
NAN = float("nan")


class Noted:
    """A task's figures without a trainer."""

    def __init__(self, task: PropertyTask, monkeypatch: pytest.MonkeyPatch) -> None:
        self.task = task
        self.logged: dict[str, float] = {}

        def log(name: str, value: Tensor, **_: Any) -> None:
            self.logged[name] = float(value)

        monkeypatch.setattr(task, "log", log)

    def report(self, stage: str, *parts: tuple[Tensor, Tensor]) -> dict[str, float]:
        self.logged.clear()
        for out, target in parts:
            self.task.note(stage, out, {"target": target})
        self.task.report(stage)
        return dict(self.logged)


def test_figures_by_property(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Noted(task_of(Sums()), monkeypatch)
    out = torch.tensor([[0.5, 0.1, 0.3], [0.2, -0.2, 0.9], [-0.6, 0.9, 0.1], [0.0, 0.0, 0.5]])
    target = torch.tensor([[0.4, NAN, NAN], [0.0, NAN, NAN], [-0.9, 0.8, NAN], [NAN, NAN, NAN]])
    seen = noted.report("val", (out[:1], target[:1]), (out[1:], target[1:]))
    bulk = mean_absolute_error(target[:3, 0], out[:3, 0])
    assert seen == pytest.approx(
        {
            "val_mae_bulk": bulk,
            # From 0 to 50 GPa is from -1 to 1.
            "val_mae_bulk_units": 25 * bulk,
            "val_r2_bulk": r2_score(target[:3, 0], out[:3, 0]),
            "val_mae_gap": 0.1,
            "val_mae": (bulk + 0.1) / 2,
        },
        rel=1e-5,
    )
    # Nothing of it is left for the next epoch, nor for the other stage.
    assert noted.report("val") == noted.report("train") == {}
    seen = noted.report("val", (out[:2], target[:2]))
    assert seen["val_mae_bulk"] == pytest.approx(0.15)
    assert seen["val_r2_bulk"] == pytest.approx(1 - (0.1**2 + 0.2**2) / (2 * 0.2**2), rel=1e-4)
    seen = noted.report("val", (out[:1], target[:1]))
    assert seen == pytest.approx(
        {"val_mae_bulk": 0.1, "val_mae_bulk_units": 2.5, "val_mae": 0.1}, rel=1e-5
    )


def test_widths_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    properties, targets, _ = known()
    task = task_of(Sums(), balance="uncertainty")
    assert task.log_width is not None
    with torch.no_grad():
        task.log_width.copy_(torch.tensor([0.0, -1.0, 1.0]))
    noted = Noted(task, monkeypatch)
    seen = noted.report("train", (torch.zeros(2, 3), targets[:2]))
    widths = [seen[f"width_{p.name}"] for p in properties]
    assert widths == pytest.approx(np.exp([0.0, -1.0, 1.0]))
    assert "width_gap" not in noted.report("val", (torch.zeros(2, 3), targets[:2]))


def sums_of(rows: Sequence[int], targets: Tensor, said: Tensor, p: Property, column: int) -> Any:
    """What ``history.csv`` should say of a property."""
    chosen = [i for i in rows if bool(targets[i, column].isfinite())]
    true, predicted = targets[chosen, column], said[chosen, column]
    mae = mean_absolute_error(true, predicted) if chosen else None
    r2 = r2_score(true, predicted) if len(chosen) > 1 else None
    scale = [] if p.scale is None else [None if mae is None else mae * p.scale]
    return dict(zip(columns(p), [mae, *scale, r2], strict=True))


@pytest.mark.parametrize("balance", ["none", "uncertainty"])
def test_history_says_what_predictions_say(balance: str, tmp_path: Path) -> None:
    """Of validation crystals, none has the rare property, and only one a gap."""
    properties, targets, graphs = known()
    rare = targets[:, 2].isfinite().nonzero().flatten().tolist()
    gaps = [i for i in targets[:, 1].isfinite().nonzero().flatten().tolist() if i not in rare]
    no_gap = [i for i in range(len(targets)) if i not in gaps and i not in rare]
    val = sorted([*no_gap[:4], gaps[0]])
    split = Split([i for i in range(len(targets)) if i not in val], val, [])
    # Weights that stay as they are: figures of an epoch are then those of one model.
    recipe = RECIPE.changed({"lr": 1e-12, "balance": balance, "keep": "last", "batch_size": 6})
    torch.manual_seed(3)
    model = Sums()
    make = partial(_make, model, recipe, targets[split.train])
    fit(tmp_path, recipe, graphs, targets, split, QUIET, make=make)
    said = outputs(model, graphs)
    rows = read_history(tmp_path / "history.csv")
    assert len(rows) == recipe.epochs
    for row in rows:
        for stage, chosen in (("train", split.train), ("val", split.val)):
            errors = []
            for column, p in enumerate(properties):
                for name, value in sums_of(chosen, targets, said, p, column).items():
                    expected = None if value is None else pytest.approx(value, rel=1e-3, abs=1e-5)
                    assert row[f"{stage}_{name}"] == expected, name
                errors.append(row[f"{stage}_mae_{p.name}"])
            known_errors = [error for error in errors if error is not None]
            assert row[f"{stage}_mae"] == pytest.approx(np.mean(known_errors), rel=1e-5)
        assert row["val_mae_rare"] is row["val_r2_rare"] is row["val_r2_gap"] is None
        assert row["val_mae_gap"] is not None
        if balance == "uncertainty":
            assert row["width_rare"] == pytest.approx(1.0)


def _make(model: nn.Module, recipe: Recipe, targets: Tensor, steps: int) -> PropertyTask:
    return PropertyTask(model, recipe, steps, known().properties, targets.isfinite())


def test_logged_loss_is_that_of_all_crystals(tmp_path: Path) -> None:
    _, targets, graphs = known()
    recipe = RECIPE.changed({"lr": 1e-12, "balance": "count", "epochs": 1, "batch_size": 6})
    torch.manual_seed(3)
    model = Sums()
    everyone = list(range(len(targets)))
    make = partial(_make, model, recipe, targets)
    fit(tmp_path, recipe, graphs, targets, Split(everyone, [], []), QUIET, make=make)
    said = outputs(model, graphs)
    means = [(said[:, p] - targets[:, p])[targets[:, p].isfinite()].abs().mean() for p in range(3)]
    (row,) = read_history(tmp_path / "history.csv")
    assert row["loss"] == pytest.approx(float(torch.stack(means).mean()), rel=1e-5)
    assert row["val_mae"] is row["val_mae_bulk"] is None
