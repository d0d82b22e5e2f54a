"""A pre-training from data to run folder."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import training.property_report
from linegraph.weights import load_weights
from tests.errors import message_of
from tests.fixtures import MPT_RECIPE as RECIPE
from tests.interrupts import interrupted
from tests.property_data import (
    COUNT,
    HELD_OUT,
    TRAIN,
    property_folder,
    some_records,
    value_of,
)
from tests.tuning import QUIET
from training.callbacks import HISTORY, read_history
from training.graphs import build_graphs
from training.predict import outputs
from training.pretrain import pretrain
from training.properties import read_properties
from training.property_task import columns
from training.recipe import Recipe
from training.runs import read_skipped
from training.splits import random_split

NAMES = ["bulk", "gap", "rare"]


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time of a run, and are always the same here."""
    monkeypatch.setattr(training.property_report, "parity_panels", lambda *_, **__: None)


def table(run: Path) -> list[dict[str, str]]:
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def metrics_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "metrics.json").read_text())
    return found


def results(run: Path) -> list[bytes]:
    names = ("model.safetensors", "predictions.csv", "metrics.json")
    return [(run / name).read_bytes() for name in names]


def history(run: Path) -> list[dict[str, Any]]:
    rows = read_history(run / "history.csv")
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def counts(run: Path, *parts: str) -> dict[str, int]:
    """Values by property in some parts of a run."""
    rows = [row["property"] for row in table(run) if row["split"] in parts]
    return {name: rows.count(name) for name in dict.fromkeys(rows)}


# --- the run folder -------------------------------------------------------------------------------


def test_run_folder(mpt_run: Path, crystals: Path) -> None:
    assert {file.name for file in mpt_run.iterdir()} == {
        "config.yaml", "metrics.json", "history.csv", "predictions.csv", "parity.png",
        "checkpoints", "model.safetensors",
    }  # fmt: skip
    assert (mpt_run / "parity.png").read_bytes().startswith(b"\x89PNG")
    config = yaml.safe_load((mpt_run / "config.yaml").read_text())
    assert config["recipe"] == "mpt-small"
    assert Recipe(**config["settings"]).as_dict() == RECIPE.as_dict()
    assert config["properties"] == NAMES
    found = read_properties(crystals)
    assert config["data"] == {
        "path": str(crystals), "fingerprint": found.fingerprint, "records": COUNT, "skipped": [],
    }  # fmt: skip
    loaded = load_weights(mpt_run)
    assert (loaded.name, loaded.outputs) == ("MPT", tuple(NAMES))
    assert loaded.config == {**RECIPE.model_config, "properties": 3}
    assert loaded.graph_settings == RECIPE.graph_settings

    rows = history(mpt_run)
    assert [row["epoch"] for row in rows] == [0, 1]
    of_properties = [c for p in found.properties for c in columns(p)]
    stages = [f"{stage}_{c}" for stage in ("train", "val") for c in of_properties]
    assert list(rows[0]) == [*(c for c in HISTORY if c != "seconds"), *stages]
    assert "val_mae_bulk_units" in stages and "val_mae_gap_units" not in stages


def test_metrics_are_of_the_values_of_each_part(mpt_run: Path) -> None:
    metrics = metrics_of(mpt_run)
    assert list(metrics) == ["train", "val", "test"]
    number = {
        part: {name: row["n"] for name, row in found["properties"].items()}
        for part, found in metrics.items()
    }
    assert number["test"] == {name: len(HELD_OUT[name]) for name in NAMES}
    for name in NAMES:
        assert number["train"][name] + number["val"].get(name, 0) == len(TRAIN[name])
    for part, found in metrics.items():
        assert counts(mpt_run, part) == number[part]
        rows = [row for row in table(mpt_run) if row["split"] == part]
        errors = [abs(float(row["target"]) - float(row["prediction"])) for row in rows]
        assert found["mae"] == pytest.approx(sum(errors) / len(errors), abs=2e-6)
    # What the kept weights say of the validation crystals is what was said in their epoch.
    best = min(row["val_mae"] for row in history(mpt_run))
    assert metrics["val"]["mean_mae"] == pytest.approx(best, abs=1e-6)


def test_predictions_are_of_the_right_crystals(mpt_run: Path, crystals: Path) -> None:
    found = read_properties(crystals)
    loaded = load_weights(mpt_run)
    graphs = build_graphs(found.crystals, ("crystal",), loaded.graph_settings)
    said = outputs(loaded.model, graphs)
    where = {crystal.name: i for i, crystal in enumerate(found.crystals)}
    for row in table(mpt_run):
        i, column = where[row["crystal"]], NAMES.index(row["property"])
        assert float(row["prediction"]) == pytest.approx(float(said[i, column]), abs=2e-6)
        number = int(row["crystal"].split("+")[0].rpartition("-")[2])
        assert float(row["target"]) == value_of(row["property"], number)
        held_out = number in HELD_OUT[row["property"]]
        assert (row["split"] == "test") == held_out


def test_validation_is_drawn_from_crystals_to_train_on(mpt_run: Path, crystals: Path) -> None:
    found = read_properties(crystals)
    pool = [c.name for c in found.crystals if len(c.held_out) < len(c.values)]
    assert len(pool) == COUNT - 4  # 0, 5, 22 and 27 are only for testing
    drawn = random_split(len(pool), RECIPE.seed, RECIPE.val)
    for part in ("train", "val"):
        names = {row["crystal"] for row in table(mpt_run) if row["split"] == part}
        assert names == {pool[i] for i in getattr(drawn, part)}


# --- the same again -------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_plots")
def test_same_seed_same_bytes(mpt_run: Path, crystals: Path, tmp_path: Path) -> None:
    pretrain(tmp_path / "again", RECIPE, crystals, machine=QUIET)
    assert results(tmp_path / "again") == results(mpt_run)
    assert history(tmp_path / "again") == history(mpt_run)
    pretrain(tmp_path / "other", RECIPE.changed({"seed": 7}), crystals, machine=QUIET)
    assert results(tmp_path / "other")[0] != results(mpt_run)[0]


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_start"])
def test_interrupted_and_resumed(hook: str, crystals: Path, tmp_path: Path) -> None:
    """With widths that are learned, which are no part of the model."""
    recipe = RECIPE.changed(
        {"balance": "uncertainty", "epochs": 4, "lr": 0.05, "jitter": 0.01, "loss": "huber"}
    )

    pretrain(tmp_path / "whole", recipe, crystals, machine=QUIET)
    run = tmp_path / "run"
    with interrupted(2, hook), pytest.raises(KeyboardInterrupt):
        pretrain(run, recipe, crystals, machine=QUIET)
    assert len(history(run)) == 2
    assert not (run / "model.safetensors").exists()
    pretrain(run, recipe, crystals, machine=QUIET, resume=True)
    assert results(run) == results(tmp_path / "whole")
    assert history(run) == history(tmp_path / "whole")
    widths = [row["width_bulk"] for row in history(run)]
    assert len(set(widths)) == len(widths) and 1.0 not in widths


@pytest.mark.usefixtures("no_plots")
def test_resume_refuses_other_runs(mpt_run: Path, crystals: Path, tmp_path: Path) -> None:
    run = shutil.copytree(mpt_run, tmp_path / "run")
    before = results(run)

    def again(recipe: Recipe, where: Path = crystals) -> Callable[[], object]:
        return lambda: pretrain(run, recipe, where, machine=QUIET, resume=True)

    message = message_of(again(RECIPE.changed({"drop": ["gap"], "strict_split": True})))
    assert str(run / "config.yaml") in message
    assert "drop was [], now ['gap']" in message
    assert "strict_split was False, now True" in message
    assert "properties was ['bulk', 'gap', 'rare'], now ['bulk', 'rare']" in message
    shifted = property_folder(tmp_path / "shifted", shift=0.125)
    assert "data file has changed" in message_of(again(RECIPE, shifted))
    assert results(run) == before
    assert "already exists" in message_of(lambda: pretrain(run, RECIPE, crystals, machine=QUIET))
    assert results(run) == before


# --- which values ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_plots")
def test_held_out_values_are_never_trained_on(mpt_run: Path, tmp_path: Path) -> None:
    data = property_folder(tmp_path / "set", shift=0.25)
    pretrain(tmp_path / "run", RECIPE, data, machine=QUIET)
    mine, theirs = results(tmp_path / "run"), results(mpt_run)
    assert mine[0] == theirs[0]
    assert history(tmp_path / "run") == history(mpt_run)
    metrics = metrics_of(tmp_path / "run")
    assert metrics["train"] == metrics_of(mpt_run)["train"]
    assert metrics["val"] == metrics_of(mpt_run)["val"]
    assert metrics["test"]["mae"] != metrics_of(mpt_run)["test"]["mae"]


@pytest.mark.usefixtures("no_plots")
def test_dropped_property_is_nowhere(crystals: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pretrain(run, RECIPE.changed({"drop": ["gap"]}), crystals, machine=QUIET)
    loaded = load_weights(run)
    assert loaded.outputs == ("bulk", "rare")
    assert loaded.config["properties"] == 2
    assert not any("gap" in name for row in history(run) for name in row)
    assert "val_mae_rare" in history(run)[0]
    assert all(list(row["properties"]) == ["bulk", "rare"] for row in metrics_of(run).values())
    assert {row["property"] for row in table(run)} == {"bulk", "rare"}
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["properties"] == ["bulk", "rare"]
    # Of these nothing else was known.
    assert config["data"]["records"] == 20 + len({23, 29})


@pytest.mark.usefixtures("no_plots")
def test_new_property_comes_with_the_data(tmp_path: Path) -> None:
    more = some_records("hard", range(1, 30, 3), "train")
    more += some_records("hard", [2, 12], "test")
    data = property_folder(tmp_path / "set", table=False, more=more)
    run = tmp_path / "run"
    pretrain(run, RECIPE, data, machine=QUIET)
    assert load_weights(run).outputs == ("bulk", "gap", "hard", "rare")
    assert metrics_of(run)["test"]["properties"]["hard"]["n"] == 2
    assert counts(run, "train", "val")["hard"] == 10
    assert history(run)[0]["train_mae_hard"] > 0
    # Nobody said what the scale is.
    assert "mae_units" not in metrics_of(run)["test"]["properties"]["bulk"]


@pytest.mark.usefixtures("no_plots")
def test_strict_split_leaves_out_what_is_held_out_anywhere(
    mpt_run: Path, crystals: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    pretrain(run, RECIPE.changed({"strict_split": True}), crystals, machine=QUIET)
    held_out = {i for positions in HELD_OUT.values() for i in positions}
    left = {name: sum(i not in held_out for i in TRAIN[name]) for name in NAMES}
    lost = {name: len(TRAIN[name]) - left[name] for name in NAMES}
    assert lost == {"bulk": 2, "gap": 3, "rare": 0}
    assert counts(run, "train", "val") == left
    assert counts(run, "test") == counts(mpt_run, "test")
    learned, judged = (
        {row["crystal"] for row in table(run) if (row["split"] == "test") == test}
        for test in (False, True)
    )
    assert not learned & judged


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize("test", [0.0, 0.2])
def test_data_without_split_are_parted_by_the_recipe(test: float, tmp_path: Path) -> None:
    data = property_folder(tmp_path / "set", splits=False)
    run = tmp_path / "run"
    pretrain(run, RECIPE.changed({"test": test, "epochs": 1}), data, machine=QUIET)
    names = [crystal.name for crystal in read_properties(data).crystals]
    drawn = random_split(COUNT, RECIPE.seed, 0.2, test)
    for part in ("train", "val", "test"):
        found = {row["crystal"] for row in table(run) if row["split"] == part}
        assert found == {names[i] for i in getattr(drawn, part)}
    assert ("test" in metrics_of(run)) == (test > 0)


@pytest.mark.usefixtures("no_plots")
def test_without_validation(crystals: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pretrain(run, RECIPE.changed({"val": 0, "epochs": 1}), crystals, machine=QUIET)
    assert list(metrics_of(run)) == ["train", "test"]
    assert counts(run, "train") == {name: len(TRAIN[name]) for name in NAMES}
    (row,) = history(run)
    assert all(row[name] is None for name in row if name.startswith("val_"))
    assert row["train_r2_rare"] is not None


# --- what cannot be trained on --------------------------------------------------------------------


def test_property_without_values_to_train_on(tmp_path: Path) -> None:
    more = some_records("hard", [1, 2, 12], "test")
    data = property_folder(tmp_path / "set", table=False, more=more)
    message = message_of(lambda: pretrain(tmp_path / "run", RECIPE, data, machine=QUIET))
    assert message == f"{data}, field hard: no value is left to train on"
    assert not (tmp_path / "run").exists()


def test_barrier_models_are_for_train(crystals: Path, tmp_path: Path) -> None:
    recipe = RECIPE.changed({"model": "MODEL-3"})
    message = message_of(lambda: pretrain(tmp_path / "run", recipe, crystals, recipe_name="small"))
    assert message == "recipe 'small' trains MODEL-3 on barriers: use train"


def test_too_few_crystals(tmp_path: Path) -> None:
    data = tmp_path / "few.json"
    data.write_text(json.dumps(some_records("bulk", [1, 2])))
    message = message_of(lambda: pretrain(tmp_path / "run", RECIPE, data, machine=QUIET))
    assert str(data) in message
    assert "split is empty (2 records in all)" in message


@pytest.mark.usefixtures("no_plots")
def test_bad_records_are_left_out_on_demand(tmp_path: Path) -> None:
    bad = {**some_records("bulk", [1], "train")[0], "id": "bad", "species": ["Cs", "Xx"]}
    data = property_folder(tmp_path / "set", more=[bad])
    message = message_of(lambda: pretrain(tmp_path / "run", RECIPE, data, machine=QUIET))
    assert str(data / "more.json") in message and "'bad' (number 1)" in message
    recipe = RECIPE.changed({"epochs": 1})
    pretrain(tmp_path / "run", recipe, data, machine=QUIET, skip_bad=True)
    assert [str(error) for error in read_skipped(tmp_path / "run")] == [message]
    assert counts(tmp_path / "run", "train", "val")["bulk"] == len(TRAIN["bulk"])
