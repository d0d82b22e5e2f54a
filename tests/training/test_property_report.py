"""What a pre-training says of its predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

import training.property_report as module
from training.properties import Property
from training.property_report import write_property_results

NAN = float("nan")
PROPERTIES = [
    Property("bulk", "bulk modulus", "GPa", 0.0, 50.0),
    Property("gap"),
    Property("rare", "rare thing", "eV"),
]
CRYSTALS = ["a", "b", "c", "d", "e"]

TRAIN = torch.tensor([[0.3, 0.1, NAN], [-0.7, NAN, 0.5], [0.9, -0.4, NAN]])
TRAIN_SAID = torch.tensor([[0.2, 0.5, 9.0], [-0.9, 9.0, 0.0], [1.0, -0.45, 9.0]])
TEST = torch.tensor([[NAN, 0.6, NAN], [-0.2, -0.6, NAN]])
TEST_SAID = torch.tensor([[9.0, 0.123456789, 9.0], [0.0, -0.5, 9.0]])

Panel = tuple[str, Any, Any, Any]


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[Panel]]]:
    """Title and panels of the plots that would be drawn."""
    drawn: list[tuple[str, list[Panel]]] = []

    def keep(path: Path, panels: list[Panel], *, title: str) -> None:
        drawn.append((title, panels))

    monkeypatch.setattr(module, "parity_panels", keep)
    return drawn


def write(folder: Path) -> dict[str, Any]:
    predictions = {"train": ([4, 0, 2], TRAIN_SAID, TRAIN), "test": ([1, 2], TEST_SAID, TEST)}
    return write_property_results(folder, PROPERTIES, CRYSTALS, predictions, seed=3)


def test_metrics(tmp_path: Path, panels: list[Any]) -> None:
    found = write(tmp_path)
    # As JSON has it, in which there is no NaN.
    assert json.loads((tmp_path / "metrics.json").read_text()) == found
    assert list(found) == ["train", "test"]

    train = found["train"]
    assert list(train["properties"]) == ["bulk", "gap", "rare"]
    for column, name in enumerate(("bulk", "gap")):
        known = TRAIN[:, column].isfinite()
        true = TRAIN[known, column].double().numpy()
        said = TRAIN_SAID[known, column].double().numpy()
        row = train["properties"][name]
        assert row["mae"] == pytest.approx(mean_absolute_error(true, said))
        assert row["rmse"] == pytest.approx(root_mean_squared_error(true, said))
        assert row["r2"] == pytest.approx(r2_score(true, said))
        assert row["mae_of_mean"] == pytest.approx(np.abs(true - true.mean()).mean())
        assert row["n"] == int(known.sum())
        assert row["mae_se"] > 0
    bulk = train["properties"]["bulk"]
    # From 0 to 50 GPa is from -1 to 1.
    assert bulk["mae_units"] == pytest.approx(25 * bulk["mae"])
    assert bulk["unit"] == "GPa"
    assert not {"mae_units", "unit"} & set(train["properties"]["gap"])
    # A unit without a scale is of no use.
    assert not {"mae_units", "unit"} & set(train["properties"]["rare"])
    assert train["properties"]["rare"]["n"] == 1
    assert train["properties"]["rare"]["r2"] is None

    known = TRAIN.isfinite()
    assert train["n"] == 6
    assert train["mae"] == pytest.approx(mean_absolute_error(TRAIN[known], TRAIN_SAID[known]))
    errors = [row["mae"] for row in train["properties"].values()]
    assert train["mean_mae"] == pytest.approx(np.mean(errors))
    assert train["mean_mae"] != pytest.approx(train["mae"])

    # Of the rare property there is no value to judge by.
    assert list(found["test"]["properties"]) == ["bulk", "gap"]
    assert found["test"]["n"] == 3
    assert found["test"]["mean_mae"] == pytest.approx((0.2 + (0.6 - 0.123456789 + 0.1) / 2) / 2)


def test_predictions(tmp_path: Path, panels: list[Any]) -> None:
    write(tmp_path)
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["crystal", "split", "property", "target", "prediction"]
    assert rows[1:] == [
        ["e", "train", "bulk", "0.3", "0.2"],
        ["e", "train", "gap", "0.1", "0.5"],
        ["a", "train", "bulk", "-0.7", "-0.9"],
        ["a", "train", "rare", "0.5", "0.0"],
        ["c", "train", "bulk", "0.9", "1.0"],
        ["c", "train", "gap", "-0.4", "-0.45"],
        ["b", "test", "gap", "0.6", "0.123457"],
        ["c", "test", "bulk", "-0.2", "0.0"],
        ["c", "test", "gap", "-0.6", "-0.5"],
    ]


def test_panels_are_of_the_last_split(tmp_path: Path, panels: list[Any]) -> None:
    found = write(tmp_path)
    ((title, drawn),) = panels
    assert "test" in title
    assert [name for name, *_ in drawn] == ["bulk modulus", "gap"]
    np.testing.assert_allclose(drawn[1][1], [0.6, -0.6])
    np.testing.assert_allclose(drawn[1][2], [0.123456789, -0.5])
    for (_, _, _, metrics), row in zip(drawn, found["test"]["properties"].values(), strict=True):
        assert metrics == row


def test_plot_is_drawn(tmp_path: Path) -> None:
    write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "metrics.json", "predictions.csv", "parity.png",
    }  # fmt: skip
    assert (tmp_path / "parity.png").read_bytes().startswith(b"\x89PNG")
