"""The command ``baseline`` as a function, on small made-up bands."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.bands import data_file, some_bands
from tests.errors import message_of
from training.baselines.models import BASELINES
from training.baselines.published import PUBLISHED_FEATURES
from training.baselines.run import baseline
from training.protocols import Protocol
from training.records import write_bands

FOLDS = Protocol(folds=2)
QUIET = {"workers": 1, "progress": False}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("matminer", reason="optional: pip install 'linegraph[baselines]'")
    return data_file(tmp_path_factory.mktemp("data") / "bands.json")


@pytest.fixture(autouse=True)
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time of a run on so few records; tests of judge look at them."""
    monkeypatch.setattr("training.report.parity_plot", lambda *args, **named: None)


@pytest.mark.parametrize("name", ["rfr", "gbr", "path-trees"])
def test_every_record_is_predicted_once(bands: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / name
    metrics = baseline(run, name, data=bands, protocol=FOLDS, **QUIET)
    assert metrics == json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["n"] == 12
    found = rows(run / "predictions.csv")
    assert sorted(row["sys_name"] for row in found) == sorted(band.name for band in some_bands())
    assert {row["fold"] for row in found} == {"1", "2"}
    assert all(bool(row["std_eV"]) == (name != "gbr") for row in found)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["baseline"] == name and config["protocol"]["folds"] == 2
    assert config["versions"]["scikit-learn"]
    used = rows(run / "features.csv")
    assert {row["feature"] for row in used} <= set(BASELINES[name].features)
    assert {row["models"] for row in used} <= {"1", "2"} and {row["of"] for row in used} == {"2"}
    # Of the features that both models used the importances add up to nearly all.
    assert 0.2 < sum(float(r["mean_importance"]) for r in used if r["models"] == "2") <= 1.001
    assert rows(run / "failures.csv") == []


def test_the_published_list_is_an_option(bands: Path, tmp_path: Path) -> None:
    baseline(tmp_path / "run", "gbr", data=bands, selection="published", **QUIET)
    used = rows(tmp_path / "run" / "features.csv")
    assert {row["feature"] for row in used} == set(PUBLISHED_FEATURES)
    assert {row["published"] for row in used} == {"True"}


@pytest.mark.parametrize(
    ("name", "trivial"),
    [
        ("train-mean", "train mean"),
        ("class-mean", "class mean"),
        ("path-distance", "path distance"),
    ],
)
def test_trivial_models_are_those_of_every_table(
    bands: Path, tmp_path: Path, name: str, trivial: str
) -> None:
    # With two folds, all systems of a class could be held out together.
    protocol = Protocol(folds=3)
    metrics = baseline(tmp_path / "run", name, data=bands, protocol=protocol, **QUIET)
    assert metrics["trivial"][trivial]["mae"] == pytest.approx(metrics["test"]["mae"], abs=1e-4)
    others = {key: value["mae"] for key, value in metrics["trivial"].items() if key != trivial}
    assert metrics["test"]["mae"] not in others.values()


def test_what_is_held_out_teaches_nothing(bands: Path, tmp_path: Path) -> None:
    baseline(tmp_path / "a", "rfr", data=bands, **QUIET)
    before = rows(tmp_path / "a" / "predictions.csv")
    held_out = {row["sys_name"] for row in before if row["split"] == "test"}
    assert 0 < len(held_out) < 12
    lies = [replace(band, target=9.0) if band.name in held_out else band for band in some_bands()]
    write_bands(tmp_path / "lies.json", lies)
    baseline(tmp_path / "b", "rfr", data=tmp_path / "lies.json", **QUIET)
    after = rows(tmp_path / "b" / "predictions.csv")
    assert [r["prediction_eV"] for r in after] == [r["prediction_eV"] for r in before]
    assert [r["target_eV"] for r in after] != [r["target_eV"] for r in before]
    assert rows(tmp_path / "a" / "features.csv") == rows(tmp_path / "b" / "features.csv")


def test_the_published_split_is_judged_by_its_validation_records(
    bands: Path, tmp_path: Path
) -> None:
    protocol = Protocol(split="published")
    metrics = baseline(tmp_path / "run", "train-mean", data=bands, protocol=protocol, **QUIET)
    written = rows(tmp_path / "run" / "predictions.csv")
    known = [float(row["target_eV"]) for row in written if row["split"] == "train"]
    judged = [row for row in written if row["split"] == "val"]
    assert metrics["val"]["n"] == len(judged) == 1
    assert len(known) == 10
    assert float(judged[0]["prediction_eV"]) == pytest.approx(sum(known) / 10, abs=1e-5)


def test_a_second_data_set_is_predicted_from_all_records(bands: Path, tmp_path: Path) -> None:
    unknown = [replace(band, target=None) for band in some_bands(4)]
    write_bands(tmp_path / "new.json.gz", unknown)
    baseline(tmp_path / "run", "path-trees", data=bands, predict=tmp_path / "new.json.gz", **QUIET)
    found = rows(tmp_path / "run" / "predictions-new.csv")
    assert [row["sys_name"] for row in found] == [band.name for band in unknown]
    # Trees without bootstrap know by heart what they have learned from.
    for row, band in zip(found, some_bands(4), strict=True):
        assert float(row["prediction_eV"]) == pytest.approx(band.target, abs=1e-5)
        assert float(row["std_eV"]) == pytest.approx(0, abs=1e-5)


def test_resumes_only_the_same_run(bands: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = baseline(run, "class-mean", data=bands, **QUIET)
    assert "already exists" in message_of(lambda: baseline(run, "class-mean", data=bands, **QUIET))
    assert baseline(run, "class-mean", data=bands, resume=True, **QUIET) == first
    message = message_of(
        lambda: baseline(run, "train-mean", data=bands, resume=True, seed=5, **QUIET)
    )
    assert "seed was 123, now 5" in message
    assert "baseline was 'class-mean', now 'train-mean'" in message


def test_repeats_use_the_next_seeds(bands: Path, tmp_path: Path) -> None:
    protocol = Protocol(folds=2, repeats=2)
    baseline(tmp_path / "run", "train-mean", data=bands, protocol=protocol, seed=7, **QUIET)
    seeds = [row["seed"] for row in rows(tmp_path / "run" / "predictions.csv")]
    assert seeds == ["7"] * 12 + ["8"] * 12


def test_refusals(bands: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    known = "known are rfr, gbr, path-trees, path-distance, class-mean, train-mean"
    assert message_of(lambda: baseline(out, "svm", data=bands)) == (
        f"unknown baseline 'svm'; {known}"
    )
    assert "known are fitted, published" in message_of(
        lambda: baseline(out, "rfr", data=bands, selection="best")
    )
    assert "path-trees selects no features" in message_of(
        lambda: baseline(out, "path-trees", data=bands, selection="published")
    )
    assert not out.exists()
