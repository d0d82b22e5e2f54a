"""Runs that learn what barriers of a potential are worth beside their models."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import yaml

from linegraph.ensemble_file import load_ensemble
from tests.bands import TINY
from tests.errors import message_of
from tests.judged_runs import table
from tests.tuning import QUIET
from training.data import compound_of, load_bands
from training.ensembles import ensemble_of_run
from training.files import write_csv
from training.neb.table import read_neb
from training.potentials import fit_correction, nested
from training.protocols import Protocol
from training.recipe import Recipe
from training.train import evaluate, train

RECIPE = Recipe(summary="").changed(
    {**TINY, "model": "MODEL-3", "epochs": 1, "keep": "last", "max_neighbors": 4}
)
STARTER = load_bands(None).bands

#: Nearly right about all but three hops of the starter set.
BARRIERS = {
    band.name: round((band.target or 0.0) + 0.02 * (-1) ** i, 3)
    for i, band in enumerate(STARTER[3:])
}


def written(path: Path, barriers: dict[str, float]) -> Path:
    write_csv(path, ("sys_name", "m_eV"), barriers.items())
    return path


def trained(folder: Path, neb: Path | None, **how: Any) -> dict[str, Any]:
    how = {"neb_column": "m_eV", "protocol": Protocol(folds=2), "machine": QUIET, **how}
    # Nobody looks at its plots.
    with patch("training.report.parity_plot"):
        return train(folder, RECIPE, neb=neb, **how)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of the starter set, for one epoch."""
    folder = tmp_path_factory.mktemp("runs")
    trained(folder / "run", written(folder / "table.csv", {**BARRIERS, "strange": 0.7}))
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy to change; its table stays where it was."""
    return shutil.copytree(finished, tmp_path / "run")


def test_a_run_learns_and_says_so(finished: Path) -> None:
    rows = {row["sys_name"]: row for row in table(finished / "predictions.csv")}
    of = [band for band in STARTER if band.name in BARRIERS]
    target = np.array([band.target for band in of], dtype=np.float64)
    said = np.array([float(rows[band.name]["prediction_eV"]) for band in of])
    potential = np.array([BARRIERS[band.name] for band in of])
    after = nested(target, said, potential, [compound_of(band) for band in of])
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["potential"] == {
        "source": "m_eV of table.csv",
        "n": len(STARTER) - 3,
        "mae": pytest.approx(np.abs(said - target).mean(), abs=1e-5),
        "mae_with": pytest.approx(np.abs(after - target).mean(), abs=1e-4),
    }
    assert metrics["potential"]["mae_with"] < 0.5 * metrics["potential"]["mae"]
    learned = load_ensemble(finished).potential
    assert learned is not None
    expected = fit_correction(target, said, potential)(said, potential)
    assert learned.correction(said, potential) == pytest.approx(expected, abs=1e-4)
    assert metrics["test"]["n"] == len(STARTER)
    config = yaml.safe_load((finished / "config.yaml").read_text())
    neb = read_neb(finished.parent / "table.csv", "m_eV")
    assert config["neb"] == {"column": "m_eV", "sha256": neb.sha256, "records": len(STARTER) - 3}
    assert config["neb_path"] == str(finished.parent / "table.csv")


def test_its_predictor_takes_barriers(finished: Path, tmp_path: Path) -> None:
    ensemble = load_ensemble(finished)
    assert ensemble.potential is not None
    cells = [band.cell for band in STARTER]
    (before,) = ensemble.predict(cells[-1:])
    (one,) = ensemble.predict(cells[-1:], potential=[BARRIERS[STARTER[-1].name]])
    target = STARTER[-1].target
    assert target is not None
    assert abs(one.value - target) < 0.5 * abs(before.value - target)
    barriers = written(tmp_path / "t.csv", BARRIERS)
    evaluate(finished, None, tmp_path / "e", neb=barriers, neb_column="m_eV", machine=QUIET)
    given = [BARRIERS.get(band.name) for band in STARTER]
    rows = table(tmp_path / "e" / "predictions.csv")
    expected = ensemble.predict(cells, potential=given, level=0.6827)
    for row, barrier in zip(rows, expected, strict=True):
        assert barrier.low is not None
        assert barrier.high is not None
        assert float(row["prediction_eV"]) == pytest.approx(barrier.value, abs=1e-5)
        assert float(row["std_eV"]) == pytest.approx((barrier.high - barrier.low) / 2, abs=1e-5)


def test_barriers_that_are_no_use(finished: Path, tmp_path: Path) -> None:
    def line(weights: Path, **neb: Any) -> str:
        return message_of(lambda: evaluate(weights, None, tmp_path / "e", machine=QUIET, **neb))

    strange = written(tmp_path / "t.csv", {"strange": 0.3})
    assert "none of the 37 hops" in line(finished, neb=strange, neb_column="m_eV")
    assert "name that with --neb" in line(finished, neb_column="m_eV")
    one = finished / "fold-1"
    assert "have not learned" in line(one, neb=strange, neb_column="m_eV")
    assert not (tmp_path / "e").exists()


def test_nothing_is_trained_by_what_nothing_is_learned_from(tmp_path: Path) -> None:
    good = written(tmp_path / "good.csv", BARRIERS)
    few = written(tmp_path / "few.csv", dict(list(BARRIERS.items())[:19]))
    none = written(tmp_path / "none.csv", {"strange": 0.3})

    def line(neb: Path | None, **how: Any) -> str:
        return message_of(lambda: trained(tmp_path / "run", neb, **how))

    for protocol in (
        Protocol(), Protocol(leave_out="ion"), Protocol(folds=2, repeats=2),
        Protocol(folds=2, train_fraction=0.5),
    ):  # fmt: skip
        told = line(good, protocol=protocol)
        assert told.startswith(f"field neb: {replace(protocol, split='random').name}: ")
        assert "--folds without --repeats" in told
    assert "barriers of 19 records" in line(few)
    assert "has a barrier of none of the 37 hops" in line(none)
    assert "there is no such column" in line(good, neb_column="n_eV")
    assert "name that with --neb" in line(None)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_table_alone(run: Path, finished: Path, tmp_path: Path) -> None:
    neb = finished.parent / "table.csv"
    file, before = run / "model.safetensors", (finished / "model.safetensors").read_bytes()
    file.unlink()
    other = written(tmp_path / "other.csv", {**BARRIERS, "strange": 0.8})
    line = message_of(lambda: trained(run, other, resume=True))
    assert "cannot resume with other settings: neb.sha256 was" in line
    line = message_of(lambda: trained(run, None, neb_column=None, resume=True))
    assert "neb was {'column': 'm_eV'" in line
    assert not file.exists()
    # Where it lies is of no concern.
    trained(run, Path(shutil.copy(neb, tmp_path / "table.csv")), resume=True)
    assert file.read_bytes() == before
    for name in ("metrics.json", "predictions.csv"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_made_again_it_is_the_same(run: Path, finished: Path, tmp_path: Path) -> None:
    """With the table that the run names, or with any that is given."""
    file = run / "model.safetensors"
    before = file.read_bytes()
    file.unlink()
    assert ensemble_of_run(run).read_bytes() == before
    config = yaml.safe_load((run / "config.yaml").read_text())
    path = written(tmp_path / "table.csv", {**BARRIERS, "strange": 0.8})
    config["neb_path"] = str(path)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    line = message_of(lambda: ensemble_of_run(run))
    assert line == f"{path}: is not the table that {run} was trained with"
    # Barriers of the same records: those of others are not learned from.
    assert ensemble_of_run(run, neb=path, neb_column="m_eV").read_bytes() == before
    few = written(tmp_path / "few.csv", dict(list(BARRIERS.items())[:19]))
    line = message_of(lambda: ensemble_of_run(run, neb=few, neb_column="m_eV"))
    assert "barriers of 19 records" in line
    for key in ("neb", "neb_path"):
        del config[key]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert load_ensemble(ensemble_of_run(run)).potential is None
