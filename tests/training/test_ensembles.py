from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import yaml

from linegraph.ensemble_file import load_ensemble
from linegraph.weights import load_weights, save_weights
from tests.bands import TINY, some_bands
from tests.errors import message_of
from tests.judged_runs import table
from tests.tuning import QUIET
from training.data import load_bands
from training.ensembles import ensemble_of_run, makes_an_ensemble
from training.graphs import build_graphs
from training.predict import predict
from training.protocols import Protocol
from training.recipe import Recipe
from training.records import write_bands
from training.train import evaluate, train

RECIPE = Recipe(summary="").changed(
    {**TINY, "model": "MODEL-3", "epochs": 1, "keep": "last", "max_neighbors": 4}
)
STARTER = load_bands(None).bands


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of the starter set, for one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "folds"
    # Nobody looks at its plots.
    with patch("training.report.parity_plot"):
        train(folder, RECIPE, protocol=Protocol(folds=2), machine=QUIET)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(finished, tmp_path / "run")


def changed(run: Path, **values: Any) -> None:
    """Change ``config.yaml``; None takes a key out."""
    path = run / "config.yaml"
    config = {**yaml.safe_load(path.read_text()), **values}
    path.write_text(yaml.safe_dump({k: v for k, v in config.items() if v is not None}))


def test_run_with_folds_predicts(finished: Path) -> None:
    """The members are the folds' models, calibrated on what each had held out."""
    ensemble = load_ensemble(finished)
    assert (ensemble.name, len(ensemble.members), ensemble.calibrated) == ("MODEL-3", 2, True)
    assert ensemble.records == len(STARTER)
    assert ensemble.graph_settings == RECIPE.graph_settings
    rows = {row["sys_name"]: row for row in table(finished / "predictions.csv")}
    assert ensemble.domain is not None
    assert ensemble.calibration is not None
    for name, member, score, apart in zip(
        ensemble.domain.names,
        ensemble.domain.member,
        ensemble.calibration.scores,
        ensemble.domain.held_out,
        strict=True,
    ):
        row = rows.pop(name)
        assert row["fold"] == str(member + 1)
        target, said = float(row["target_eV"]), max(float(row["prediction_eV"]), 0.0)
        c, b = ensemble.calibration.offset, ensemble.calibration.slope
        expected = abs(np.log(target + c) - np.log(said + c)) / (1 + b * apart)
        assert score == pytest.approx(expected, abs=1e-4)
    assert not rows
    graphs = build_graphs(STARTER[:5], ensemble.views, ensemble.graph_settings)
    folds = [predict(load_weights(finished / f"fold-{k}").model, graphs) for k in (1, 2)]
    found = ensemble.predict([band.cell for band in STARTER[:5]])
    assert [b.value for b in found] == pytest.approx(np.mean(folds, axis=0).tolist(), abs=1e-5)
    for band, barrier in zip(STARTER, found, strict=False):
        assert barrier.nearest[0] == band.name
        assert barrier.low is not None
        assert barrier.high is not None
        assert barrier.low <= barrier.value <= barrier.high


def test_evaluated_as_one(finished: Path, tmp_path: Path) -> None:
    """The mean of all members, and half of the interval that holds 68 % of the barriers."""
    evaluate(finished, None, tmp_path / "e", machine=QUIET)
    said = load_ensemble(finished).predict([band.cell for band in STARTER], level=0.6827)
    rows = table(tmp_path / "e" / "predictions.csv")
    for row, band, barrier in zip(rows, STARTER, said, strict=True):
        assert row["sys_name"] == band.name
        assert barrier.low is not None
        assert barrier.high is not None
        assert float(row["prediction_eV"]) == pytest.approx(barrier.value, abs=1e-5)
        assert float(row["std_eV"]) == pytest.approx((barrier.high - barrier.low) / 2, abs=1e-5)


def test_made_again_it_is_the_same(run: Path, tmp_path: Path) -> None:
    """Of an older run, too, which has less to say of itself; and nothing else changes."""
    file = run / "model.safetensors"
    before = file.read_bytes()
    file.unlink()
    assert ensemble_of_run(run) == file
    assert file.read_bytes() == before
    changed(run, protocol=None, folds=2)
    out = tmp_path / "elsewhere.safetensors"
    left = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert ensemble_of_run(run, "starter", out=out) == out
    assert out.read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == left


def test_only_runs_in_which_each_record_is_held_out_once() -> None:
    assert makes_an_ensemble(Protocol(folds=3))
    for other in (
        Protocol(), Protocol(repeats=2), Protocol(leave_out="ion"), Protocol(folds=3, repeats=2),
        Protocol(folds=3, train_fraction=0.5),
    ):  # fmt: skip
        assert not makes_an_ensemble(other)


def test_runs_it_cannot_be_made_of(run: Path, tmp_path: Path) -> None:
    def refused(*words: str, **values: Any) -> None:
        changed(run, **values)
        line = message_of(lambda: ensemble_of_run(run))
        for word in words:
            assert word in line

    config = yaml.safe_load((run / "config.yaml").read_text())
    refused("leave one ion out: an ensemble", protocol=Protocol(leave_out="ion").as_dict())
    refused("one grouped split: an ensemble", protocol=None, folds=0)
    refused("is no record of a run", protocol={"nights": 3})
    refused("is no record of a run", protocol={"folds": 1})
    refused("is no record of a run", **{**config, "data": None})
    refused("no such file", **{**config, "data": {"path": "gone.json", "fingerprint": "f"}})
    assert "there is no run" in message_of(lambda: ensemble_of_run(tmp_path))


def test_other_data(run: Path, tmp_path: Path) -> None:
    data = tmp_path / "other.json"
    write_bands(data, some_bands())
    line = message_of(lambda: ensemble_of_run(run, data))
    assert line.startswith(str(data))
    assert f"is not the data that {run}" in line
    rows = (run / "predictions.csv").read_text().splitlines()
    (run / "predictions.csv").write_text("\n".join([*rows, rows[1].replace(",", "x,", 1)]))
    assert "of their records are in" in message_of(lambda: ensemble_of_run(run))


def test_models_that_are_not_the_run_s(run: Path) -> None:
    for name in ("model.safetensors", "predictions.csv"):
        first, second = run / "fold-1" / name, run / "fold-2" / name
        first.rename(run / "moved")
        second.rename(first)
        (run / "moved").rename(second)
        if name == "model.safetensors":
            line = message_of(lambda: ensemble_of_run(run))
            assert "but the model that held it out says" in line
            assert str(run / "predictions.csv") in line
    file = run / "fold-2" / "model.safetensors"
    found = load_weights(file)
    save_weights(file, found.model, found.name, found.config, {"max_neighbors": 5})
    assert "is another model than fold-1" in message_of(lambda: ensemble_of_run(run))
    file.unlink()
    assert "no such weights" in message_of(lambda: ensemble_of_run(run))


def test_other_protocols_leave_no_ensemble(tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    write_bands(data, some_bands())
    protocol = Protocol(folds=2, train_fraction=0.5)
    with patch("training.report.parity_plot"):
        train(tmp_path / "run", RECIPE, data=data, protocol=protocol, machine=QUIET)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert "no such weights" in message_of(lambda: load_ensemble(tmp_path / "run"))
