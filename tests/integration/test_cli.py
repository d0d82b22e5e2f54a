"""The commands, from data to predictions, as a user runs them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from linegraph.ensemble_file import load_ensemble
from tests.bands import TINY, settings, some_bands
from tests.integration.command import assert_says, linegraph, refused, start
from training.bands import Band
from training.protocols import Protocol
from training.records import write_bands
from training.splits import grouped_split, published_split, random_split

METRICS = {"r2", "mae", "rmse", "r2_se", "mae_se", "n"}
PNG = b"\x89PNG\r\n\x1a\n"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def metrics_of(run: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    for name, row in metrics.items():
        rows = row.values() if name == "trivial" else [row]
        extra = {"mae_difference", "mae_difference_se"} if name == "trivial" else set()
        for row in rows:
            assert set(row) == METRICS | extra
            for key, value in row.items():
                assert (value is None and key in ("r2", "r2_se")) or math.isfinite(value)
    return metrics


def test_run_folder(run: Path, data: Path) -> None:
    assert {f.name for f in run.iterdir()} == {
        "config.yaml", "metrics.json", "history.csv", "predictions.csv", "parity.png",
        "checkpoints", "model.safetensors",
    }  # fmt: skip
    assert {f.name for f in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert (run / "parity.png").read_bytes().startswith(PNG)

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert {key: config["settings"][key] for key in TINY} == TINY
    assert config["data"]["path"] == str(data)
    assert config["data"]["fingerprint"] == sha256(data)
    assert (config["data"]["records"], config["data"]["skipped"]) == (12, [])
    assert (config["recipe"], config["init"]) == ("small", None)
    assert config["protocol"] == Protocol(split=TINY["split"]).as_dict()
    assert config["versions"]["torch"] == version("torch")
    assert config["versions"]["linegraph"] == version("linegraph")

    metrics = metrics_of(run)
    assert set(metrics) == {"train", "val", "test", "trivial"}
    assert [metrics[name]["n"] for name in ("train", "val", "test")] == [8, 2, 2]
    assert set(metrics["trivial"]) == {"train mean", "class mean", "path distance"}

    history = table(run / "history.csv")
    assert [row["epoch"] for row in history] == ["0", "1"]
    assert all(math.isfinite(float(value)) for row in history for value in row.values())


def test_predictions_agree_with_data_split_and_metrics(run: Path) -> None:
    bands = {band.name: band for band in some_bands()}
    rows = table(run / "predictions.csv")
    assert sorted(row["sys_name"] for row in rows) == sorted(bands)
    split = random_split(12, 123, 0.2, 0.2)
    names = list(bands)
    for part in ("train", "val", "test"):
        of_part = [row for row in rows if row["split"] == part]
        assert [row["sys_name"] for row in of_part] == [names[i] for i in getattr(split, part)]
        errors = [float(row["prediction_eV"]) - float(row["target_eV"]) for row in of_part]
        assert np.mean(np.abs(errors)) == pytest.approx(metrics_of(run)[part]["mae"], abs=2e-6)
    for row in rows:
        band = bands[row["sys_name"]]
        assert float(row["target_eV"]) == band.target
        assert (row["system"], row["class"]) == (band.system, band.family)


def test_kept_weights_are_those_of_the_best_epoch(run: Path) -> None:
    best = min(float(row["val_mae"]) for row in table(run / "history.csv"))
    assert metrics_of(run)["val"]["mae"] == pytest.approx(best, abs=1e-6)


def test_weights_of_the_last_epoch_on_demand(tmp_path: Path, data: Path) -> None:
    linegraph("train", "--data", data, "--out", tmp_path / "run", *settings(keep="last", lr=0.1))
    errors = [float(row["val_mae"]) for row in table(tmp_path / "run" / "history.csv")]
    assert metrics_of(tmp_path / "run")["val"]["mae"] == pytest.approx(errors[-1], abs=1e-6)


def test_training_learns(tmp_path: Path, data: Path) -> None:
    """What the error in evaluation mode says, on records that were not trained on."""
    words = settings(val=0, epochs=30, batch_size=10, lr=0.02, hidden=16, keep="last")
    linegraph("train", "--data", data, "--out", tmp_path / "run", *words)
    metrics = metrics_of(tmp_path / "run")
    assert metrics["test"]["r2"] > 0.9
    assert metrics["test"]["mae"] < 0.5 * metrics["trivial"]["train mean"]["mae"]


@pytest.mark.parametrize("split", ["published", "random", "grouped"])
def test_splits(split: str, tmp_path: Path, data: Path) -> None:
    words = settings(split=split, val=0.2, test=0.2, epochs=1)
    linegraph("train", "--data", data, "--out", tmp_path / "run", *words)
    systems = [band.system for band in some_bands()]
    expected = {
        "published": published_split(12),
        "random": random_split(12, 123, 0.2, 0.2),
        "grouped": grouped_split(systems, 123, 0.2, 0.2),
    }[split]
    names = [band.name for band in some_bands()]
    rows = table(tmp_path / "run" / "predictions.csv")
    for part in ("train", "val", "test"):
        found = [row["sys_name"] for row in rows if row["split"] == part]
        assert found == [names[i] for i in getattr(expected, part)]
    assert set(metrics_of(tmp_path / "run")) - {"trivial"} == {row["split"] for row in rows}


def test_folds(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    linegraph("train", "--data", data, "--out", run, "--folds", 3, *settings())
    names = [band.name for band in some_bands()]
    rows = table(run / "predictions.csv")
    assert sorted(row["sys_name"] for row in rows) == sorted(names)
    of_fold = [table(run / f"fold-{number}" / "predictions.csv") for number in (1, 2, 3)]
    assert [row for rows_ in of_fold for row in rows_] == rows
    systems = [{row["system"] for row in rows_} for rows_ in of_fold]
    assert not (systems[0] & systems[1] or systems[0] & systems[2] or systems[1] & systems[2])
    metrics = metrics_of(run)
    assert metrics["test"]["n"] == 12
    # What the trivial predictors know are the records outside of the fold.
    target = {row["sys_name"]: float(row["target_eV"]) for row in rows}
    errors = []
    for rows_ in of_fold:
        held_out = {row["sys_name"] for row in rows_}
        mean = np.mean([target[name] for name in names if name not in held_out])
        errors += [abs(target[name] - mean) for name in held_out]
    assert metrics["trivial"]["train mean"]["mae"] == pytest.approx(np.mean(errors))
    assert (run / "parity.png").read_bytes().startswith(PNG)
    assert load_ensemble(run).calibrated
    for number in (1, 2, 3):
        assert (run / f"fold-{number}" / "model.safetensors").is_file()


def test_records_without_target(tmp_path: Path) -> None:
    bands = some_bands()
    bands[3], bands[7] = replace(bands[3], target=None), replace(bands[7], target=None)
    write_bands(tmp_path / "mixed.json", bands)
    run = tmp_path / "run"
    linegraph("train", "--data", tmp_path / "mixed.json", "--out", run, *settings())
    rows = table(run / "predictions.csv")
    assert {row["sys_name"] for row in rows} == {b.name for b in bands if b.target is not None}
    shown = linegraph("evaluate", run, "--data", tmp_path / "mixed.json", "--out", tmp_path / "e")
    rows = table(tmp_path / "e" / "predictions.csv")
    assert [row["sys_name"] for row in rows] == [band.name for band in bands]
    assert [row["target_eV"] == "" for row in rows] == [band.target is None for band in bands]
    assert metrics_of(tmp_path / "e")["all"]["n"] == 10
    assert "10" in shown.output

    write_bands(tmp_path / "none.json", [replace(band, target=None) for band in bands])
    result = linegraph("train", "--data", tmp_path / "none.json", code=2)
    assert "no record has a target" in result.stderr
    shown = linegraph("evaluate", run, "--data", tmp_path / "none.json", "--out", tmp_path / "n")
    assert "no record has a target" in shown.output
    assert json.loads((tmp_path / "n" / "metrics.json").read_text()) == {}
    assert len(table(tmp_path / "n" / "predictions.csv")) == 12


def test_one_path_of_each_system(tmp_path: Path) -> None:
    bands = some_bands()
    # Two paths of every compound: the second are left out, whichever comes first.
    named = [replace(b, name=f"{b.system}_{1 + i % 2}") for i, b in enumerate(bands)][::-1]
    write_bands(tmp_path / "paths.json", named)
    run = tmp_path / "run"
    words = settings(one_path=True, epochs=1)
    linegraph("train", "--data", tmp_path / "paths.json", "--out", run, *words)
    rows = table(run / "predictions.csv")
    assert {row["sys_name"] for row in rows} == {f"{band.system}_1" for band in bands}
    assert len(rows) == 6
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["records"] == 6
    # It is a matter of training: others are predicted as they come.
    linegraph("evaluate", run, "--data", tmp_path / "paths.json", "--out", tmp_path / "e")
    assert len(table(tmp_path / "e" / "predictions.csv")) == 12


def test_start_from_the_weights_of_another_run(tmp_path: Path, data: Path, run: Path) -> None:
    words = ["--data", data, "--init", run, *settings(epochs=1, lr=1e-12, new_head=False)]
    words += ["--set", "norms=keep", "--set", "freeze=[embeddings, alignn_layers, conv_layers]"]
    linegraph("train", *words, "--out", tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["init"] == sha256(run / "model.safetensors")
    ours, theirs = (table(folder / "predictions.csv") for folder in (tmp_path / "run", run))
    for row, other in zip(ours, theirs, strict=True):
        assert row["sys_name"] == other["sys_name"]
        said = float(other["prediction_eV"])
        assert float(row["prediction_eV"]) == pytest.approx(said, abs=1e-4)


def test_every_way_to_predict_gives_the_same(tmp_path: Path, run: Path, data: Path) -> None:
    expected = {
        row["sys_name"]: float(row["prediction_eV"]) for row in table(run / "predictions.csv")
    }
    out = tmp_path / "evaluation"
    linegraph("evaluate", run, "--data", data, "--out", out)
    evaluated = {
        row["sys_name"]: float(row["prediction_eV"]) for row in table(out / "predictions.csv")
    }
    assert evaluated == pytest.approx(expected, abs=1e-5)
    assert (out / "parity.png").read_bytes().startswith(PNG)
    # Not all alike, or nothing was shown.
    assert len({round(value, 4) for value in expected.values()}) > 3

    bands = some_bands()
    structures = [tmp_path / "first.cif", tmp_path / "second" / "POSCAR"]
    structures[1].parent.mkdir()
    for path, band in zip(structures, bands, strict=False):
        write_structure(path, band)
    linegraph("predict", data, *structures, "--weights", run, "--csv", tmp_path / "p.csv")
    found = {row["hop"]: float(row["barrier_eV"]) for row in table(tmp_path / "p.csv")}
    assert list(found) == [*expected_order(bands), *map(str, structures)]
    for name in expected:
        assert found[name] == pytest.approx(expected[name], abs=1e-5)
    for path, band in zip(structures, bands, strict=False):
        assert found[str(path)] == pytest.approx(expected[band.name], abs=1e-4)


def expected_order(bands: list[Band]) -> list[str]:
    return [band.name for band in bands]


def write_structure(path: Path, band: Band) -> None:
    (cell,) = band.structures
    structure = Structure(
        Lattice(cell.lattice), cell.numbers.tolist(), cell.frac, to_unit_cell=False
    )
    if path.suffix == ".cif":
        CifWriter(structure, significant_figures=9).write_file(path)
    else:
        structure.to(path, fmt="poscar")


def test_predict_takes_folder_and_weights_file(tmp_path: Path, run: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    band = some_bands()[0]
    write_structure(folder / "a.cif", band)
    write_structure(folder / "POSCAR_b", band)
    words = ["predict", folder, "--weights", run / "model.safetensors"]
    linegraph(*words, "--csv", tmp_path / "p.csv")
    rows = table(tmp_path / "p.csv")
    assert [row["hop"] for row in rows] == ["POSCAR_b", "a"]
    values = [float(row["barrier_eV"]) for row in rows]
    assert values[0] == pytest.approx(values[1], abs=1e-4)


def test_a_cif_whose_atoms_symmetry_makes_is_no_band(tmp_path: Path, run: Path) -> None:
    lines = ["data_x", "_cell_length_a 6", "_cell_length_b 6", "_cell_length_c 6"]
    lines += [f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")]
    lines += ["loop_", "_symmetry_equiv_pos_as_xyz", "'x,y,z'", "'-x,-y,-z'"]
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
    lines += [f"Li{i} Li 0.{i}1 0.2 0.3" for i in range(1, 5)] + ["O1 O 0.1 0.7 0.8"]
    path = tmp_path / "symmetric.cif"
    path.write_text("\n".join(lines) + "\n")
    line = refused("predict", path, "--as", "band", "--weights", run)
    assert_says(line, path, "symmetry")
    # Which atoms come first is up to whoever applies the symmetry: a crystal.
    assert "crystal of Li4O" in linegraph("predict", path, "--weights", run).stdout


def test_data_command(tmp_path: Path, data: Path) -> None:
    copy = tmp_path / "copy.json.gz"
    shown = linegraph("data", "--data", data, "--out", copy).output
    for words in ("12, 12 with a barrier", "0.2 to 1.22 eV", "Li 4, Na 4, Mg 4", "SPINEL 4"):
        assert words in shown
    again = linegraph("data", "--data", copy).output
    assert again.splitlines()[1:] == shown.splitlines()[1:-1]


def test_recipe_file_and_options(tmp_path: Path, data: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**TINY, "lr": 0.5, "epochs": 7}))
    run = tmp_path / "run"
    words = ["--set", "lr=1e-3", "--epochs", 1, "--seed", 5]
    linegraph("train", "--data", data, "--recipe", path, "--out", run, *words)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["recipe"] == str(path)
    changed = {"lr": 0.001, "epochs": 1, "seed": 5}
    assert {key: config["settings"][key] for key in {**TINY, **changed}} == {**TINY, **changed}
    assert len(table(run / "history.csv")) == 1


def test_default_folders_are_free_ones(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("small", "small-2"):
        words = ["--data", data, *settings(epochs=1)]
        assert f"runs/{name}\n" in linegraph("train", *words).output
        assert (tmp_path / "runs" / name / "metrics.json").is_file()
    for name in ("evaluate-bands", "evaluate-bands-2"):
        linegraph("evaluate", "runs/small", "--data", data)
        assert (tmp_path / "runs" / "small" / name / "predictions.csv").is_file()


def test_as_a_process(tmp_path: Path, run: Path, data: Path) -> None:
    """`python cli.py` gives what the function gave, and tells progress on standard error."""
    process = start("train", "--data", data, "--out", tmp_path / "run", *settings())
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "run folder" in out
    assert "epoch 2/2" in err
    # Neither greetings nor warnings of libraries.
    assert all(line.startswith(("Training epoch", "Building")) for line in err.splitlines()), err
    for file in ("model.safetensors", "predictions.csv", "metrics.json"):
        assert (tmp_path / "run" / file).read_bytes() == (run / file).read_bytes()


def test_run_folder_can_be_moved(tmp_path: Path, run: Path, data: Path) -> None:
    shutil.copytree(run, tmp_path / "moved")
    linegraph("evaluate", tmp_path / "moved", "--data", data, "--out", tmp_path / "e")
    assert len(table(tmp_path / "e" / "predictions.csv")) == 12


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
