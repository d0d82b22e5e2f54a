"""What every kind of model goes through, and the files that come of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import training.train
from linegraph.ends import Ends
from linegraph.structure import Cell
from tests.bands import TINY, rock_salt_band, some_bands
from tests.errors import message_of
from tests.tuning import QUIET
from training.bands import Band
from training.data import hop_length
from training.judge import Answer, judge
from training.judging.predictions import read_run
from training.judging.scores import scores
from training.protocols import Part, Protocol, parts_of
from training.read import BandSet
from training.recipe import Recipe
from training.records import write_bands
from training.report import PREDICTIONS, Row, trivial_for, write_rows
from training.train import train

PNG = b"\x89PNG\r\n\x1a\n"
RECIPE = Recipe(summary="").changed({**TINY, "epochs": 1})

Answerer = Callable[[Path, Part], Mapping[str, Answer]]


def bands(count: int = 12) -> list[Band]:
    """Hops of several lengths, in classes that all have a name."""
    return [replace(band, family=band.family or "OLIVINE") for band in some_bands(count)]


def parted(protocol: Protocol, **changes: Any) -> tuple[BandSet, list[Part]]:
    found = BandSet(bands(), [], Path("bands.json"), "print")
    given: dict[str, Any] = {"seed": 3, "val": 0.2, "test": 0.2, **changes}
    return found, parts_of(found, protocol, **given)


def answers(found: BandSet, std: float | None = None, asked: Sequence[str] = ("test",)) -> Answerer:
    """A model that is wrong by the seed, in hundredths of an eV."""

    def answer(folder: Path, part: Part) -> dict[str, Answer]:
        (folder / "asked").touch()
        said = {}
        for name in asked:
            positions = getattr(part.split, name)
            values = [float(found.bands[p].target or 0) + part.seed / 100 for p in positions]
            said[name] = Answer(values, None if std is None else [std] * len(values))
        return said

    return answer


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def mean_error(said: Sequence[float], target: Sequence[float]) -> float:
    return float(np.abs(np.subtract(said, target)).mean())


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time of a run on so few records."""
    monkeypatch.setattr("training.report.parity_plot", lambda *args, **named: None)


def test_folds(tmp_path: Path) -> None:
    found, parts = parted(Protocol(folds=3))
    metrics = judge(tmp_path, "model", found, parts, answers(found, std=0.25))
    rows = table(tmp_path)
    assert tuple(rows[0]) == PREDICTIONS
    assert {row["sys_name"] for row in rows} == {band.name for band in found.bands}
    by_name = {band.name: band for band in found.bands}
    for row in rows:
        band = by_name[row["sys_name"]]
        assert (row["split"], row["seed"], row["std_eV"]) == ("test", "3", "0.25")
        assert (row["system"], row["class"]) == (band.system, band.family)
        assert row["ion"] == band.name[:2]
        assert float(row["prediction_eV"]) == pytest.approx(float(row["target_eV"]) + 0.03)
    for part in parts:
        here = tmp_path / part.folder
        assert [row for row in rows if row["fold"] == part.label] == table(here)
        assert (here / "asked").is_file()
        assert json.loads((here / "metrics.json").read_text())["test"]["n"] == len(part.split.test)
    for folder in (tmp_path, tmp_path / "fold-2"):
        assert (folder / "parity.png").read_bytes().startswith(PNG)
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics) == {"test", "trivial"}
    assert set(metrics["test"]) == {"r2", "mae", "rmse", "r2_se", "mae_se", "n"}
    assert metrics["test"]["mae"] == pytest.approx(0.03)


@pytest.mark.usefixtures("without_plots")
def test_trivial_predictors_know_what_the_model_may_know(tmp_path: Path) -> None:
    """Of every part the training and validation records, and nothing else."""
    found, parts = parted(Protocol(folds=3))
    trivial = judge(tmp_path, "model", found, parts, answers(found))["trivial"]
    target = np.array([band.target for band in found.bands], dtype=float)
    length = np.array([hop_length(band) for band in found.bands])
    errors: dict[str, list[float]] = {"train mean": [], "class mean": [], "path distance": []}
    for part in parts:
        known = np.array(part.split.train + part.split.val)
        assert part.split.val
        line = np.polyfit(length[known], target[known], 1)
        for p in part.split.test:
            family = found.bands[p].family
            alike = [q for q in known if found.bands[q].family == family]
            for name, guess in (
                ("train mean", target[known].mean()),
                ("class mean", target[alike].mean() if alike else target[known].mean()),
                ("path distance", np.polyval(line, length[p])),
            ):
                errors[name].append(abs(float(guess) - target[p]))
    assert set(trivial) == set(errors)
    for name, block in trivial.items():
        assert block["mae"] == pytest.approx(np.mean(errors[name]))
        assert block["mae_difference"] == pytest.approx(0.03 - np.mean(errors[name]))
        assert block["n"] == 12


def test_one_split_in_the_run_folder_itself(tmp_path: Path) -> None:
    found, parts = parted(Protocol())
    every = ("train", "val", "test")
    metrics = judge(tmp_path, "model", found, parts, answers(found, asked=every))
    split = parts[0].split
    assert [row["sys_name"] for row in table(tmp_path)] == [
        found.bands[p].name for p in split.train + split.val + split.test
    ]
    assert {row["fold"] for row in table(tmp_path)} == {""}
    assert set(metrics) == {*every, "trivial"}
    assert metrics["trivial"]["train mean"]["n"] == len(split.test)
    mean = np.mean([found.bands[p].target or 0 for p in split.train + split.val])
    said = mean_error([float(mean)], [found.bands[p].target or 0 for p in split.test])
    assert metrics["trivial"]["train mean"]["mae"] == pytest.approx(said)
    assert {file.name for file in tmp_path.iterdir()} == {
        "asked", "predictions.csv", "metrics.json", "parity.png",
    }  # fmt: skip


@pytest.mark.usefixtures("without_plots")
def test_without_a_test_part_validation_records_judge(tmp_path: Path) -> None:
    """And teach the trivial predictors nothing."""
    found, parts = parted(Protocol(split="published"))
    asked = answers(found, asked=("val", "test", "train"))
    trivial = judge(tmp_path, "model", found, parts, asked)["trivial"]
    split = parts[0].split
    assert not split.test
    mean = np.mean([found.bands[p].target or 0 for p in split.train])
    said = mean_error([float(mean)], [found.bands[p].target or 0 for p in split.val])
    assert trivial["train mean"]["mae"] == pytest.approx(said)
    assert [row["split"] for row in table(tmp_path)] == ["train"] * 10 + ["val"]


@pytest.mark.usefixtures("without_plots")
def test_several_seeds(tmp_path: Path) -> None:
    found, parts = parted(Protocol(folds=2, repeats=3))
    metrics = judge(tmp_path, "model", found, parts, answers(found))
    folders = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("asked")}
    assert folders == {f"seed-{seed}/fold-{fold}" for seed in (3, 4, 5) for fold in (1, 2)}
    assert len(table(tmp_path)) == 36
    # Wrong by 0.03, 0.04 and 0.05 eV.
    assert metrics["test"]["mae"] == pytest.approx(0.04)
    assert (metrics["test"]["n"], metrics["test"]["seeds"]) == (12, 3)
    assert metrics["trivial"]["train mean"]["seeds"] == 3
    run = read_run(tmp_path)
    assert scores(run, resamples=2)["mae"].value == pytest.approx(0.04)
    for seed in (3, 4, 5):
        of_seed = [row for row in table(tmp_path) if row["seed"] == str(seed)]
        assert len({row["sys_name"] for row in of_seed}) == 12


def test_records_without_a_target(tmp_path: Path) -> None:
    known, unknown = bands(2)[0], replace(bands(2)[1], target=None)
    metrics = write_rows(tmp_path, "x", [Row(known, "a", 0.5), Row(unknown, "a", 0.4)])
    assert metrics["a"]["n"] == 1
    assert [row["target_eV"] for row in table(tmp_path)] == ["0.2", ""]
    (tmp_path / "none").mkdir()
    assert write_rows(tmp_path / "none", "x", [Row(unknown, "a", 0.4)]) == {}
    assert not (tmp_path / "none" / "parity.png").exists()


def test_hop_lengths() -> None:
    band = rock_salt_band(a=4.0)
    assert hop_length(Band("x", band)) == pytest.approx(np.sqrt(8))
    ends = [Cell(band.lattice, np.delete(band.frac, rest, axis=0), np.delete(band.numbers, rest))
            for rest in ([1, 2, 3, 4], [0, 1, 2, 3])]  # fmt: skip
    assert hop_length(Band("x", Ends(*ends))) == pytest.approx(np.sqrt(8))
    # An end in another cell is the same end.
    ends[1] = Cell(band.lattice, ends[1].frac + [0, 0, 1], ends[1].numbers)
    assert hop_length(Band("x", Ends(*ends))) == pytest.approx(np.sqrt(8))
    # As given: a path may lead into the next cell.
    frac = band.frac.copy()
    frac[:5] += np.linspace(0, 1, 5)[:, None] * [0, 0, 1]
    length = np.linalg.norm([2, 2, 4])
    assert hop_length(Band("x", Cell(band.lattice, frac, band.numbers))) == pytest.approx(length)


def test_hops_of_one_length_say_nothing() -> None:
    cell = rock_salt_band()
    alike = [Band(str(i), cell, target) for i, target in enumerate((0.2, 0.6, 0.9))]
    assert trivial_for(alike, [0, 1], [2])["path distance"] == pytest.approx([0.4])


@pytest.mark.usefixtures("without_plots")
def test_training_by_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted and gone on with, the same as run through; every part with its own seed."""
    protocol = Protocol(leave_out="ion", repeats=2, train_fraction=0.75, split=RECIPE.split)
    whole, run, data = tmp_path / "whole", tmp_path / "run", tmp_path / "data.json"
    write_bands(data, [band for band in bands() if band.name[:2] != "Mg"])
    seen: list[int] = []
    fit = training.train.fit

    def noted(folder: Path, recipe: Recipe, *args: Any, **options: Any) -> Any:
        if len(seen) == 6:
            raise KeyboardInterrupt
        seen.append(recipe.seed)
        return fit(folder, recipe, *args, **options)

    monkeypatch.setattr(training.train, "fit", noted)
    metrics = train(whole, RECIPE, data=data, protocol=protocol, machine=QUIET)
    assert seen == [123, 123, 124, 124]
    assert metrics["test"]["n"] == 8
    assert {row["fold"] for row in table(whole)} == {"Li", "Na"}
    with pytest.raises(KeyboardInterrupt):
        train(run, RECIPE, data=data, protocol=protocol, machine=QUIET)
    assert not (run / "metrics.json").exists()
    assert (run / "seed-123" / "fold-2" / "metrics.json").is_file()
    assert not (run / "seed-124" / "fold-1" / "model.safetensors").exists()
    seen.clear()
    again = {"data": data, "machine": QUIET, "resume": True}
    assert train(run, RECIPE, protocol=protocol, **again) == metrics
    for name in ("predictions.csv", "metrics.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert yaml.safe_load((run / "config.yaml").read_text())["protocol"] == protocol.as_dict()
    found = read_run(run)
    assert (found.protocol, found.train_fraction) == ("leave one ion out", 0.75)
    # One model a seed: they say other things.
    by_seed = [found.rows(np.array(found.seed) == seed) for seed in (123, 124)]
    assert by_seed[0].names == by_seed[1].names
    assert not np.allclose(by_seed[0].prediction, by_seed[1].prediction)
    other = Protocol(leave_out="ion", repeats=3, train_fraction=0.75)
    assert "protocol.repeats was 2, now 3" in message_of(
        lambda: train(run, RECIPE, protocol=other, **again)
    )
