"""The commands of pre-training and transfer, as a user runs them."""

from __future__ import annotations

import csv
import json
import pickle
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import linegraph as package
from linegraph.weights import load_weights
from tests.bands import settings
from tests.integration.command import assert_says, linegraph, refused
from tests.interrupts import interrupted
from tests.property_data import HELD_OUT, TINY_MPT, TRAIN, property_folder, some_records
from training.callbacks import read_history

MPT_WORDS = settings(**TINY_MPT)
WORDS = settings()
NAMES = ["bulk", "gap", "rare"]


def config_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text())
    return found


# --- pretrain -------------------------------------------------------------------------------------


def test_pretrain_then_train(mpt_run: Path, data: Path, tmp_path: Path) -> None:
    assert config_of(mpt_run)["recipe"] == "mpt-small"
    run = tmp_path / "run"
    words = ["--recipe", "transfer-last-layer", "--init", mpt_run, *WORDS]
    shown = linegraph("train", "--data", data, "--out", run, *words)
    assert str(run) in shown.stdout
    theirs, ours = load_weights(mpt_run), load_weights(run)
    assert (theirs.name, ours.name) == ("MPT", "MODEL-3")
    for name, tensor in ours.model.state_dict().items():
        if name.startswith("trunk."):
            assert torch.equal(tensor, theirs.model.state_dict()[name]), name
    assert len(config_of(run)["init"]) == 64
    # What comes out is a model as any other, and one to start from.
    assert "(eV)" in linegraph("predict", data, "--weights", run).stdout
    words = ["--recipe", "transfer-all", "--init", run / "model.safetensors"]
    linegraph("train", "--data", data, "--out", tmp_path / "next", *words, *settings(epochs=1))


def test_pretrain_shows_every_property(crystals: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shown = linegraph(
        "pretrain", "--data", crystals, "--out", run, *MPT_WORDS,
        "--epochs", 1, "--seed", 5, "--drop", "gap", "--strict-split",
    )  # fmt: skip
    lines = shown.stdout.splitlines()
    test = json.loads((run / "metrics.json").read_text())["test"]
    (bulk,) = (line for line in lines if "bulk" in line)
    row = test["properties"]["bulk"]
    assert_says(bulk, row["n"], f"{row['mae']:.4f}", f"{row['mae_units']:.3g} GPa")
    (mean,) = (line for line in lines if "│ mean " in line)
    assert_says(mean, f"{test['mean_mae']:.4f}")
    assert not any("gap" in line for line in lines)
    assert_says(shown.stdout, "test", "in units", f"run folder   {run}", run / "parity.png")
    found = config_of(run)["settings"]
    changed = {key: found[key] for key in ("drop", "strict_split", "epochs", "seed")}
    assert changed == {"drop": ["gap"], "strict_split": True, "epochs": 1, "seed": 5}
    assert load_weights(run).outputs == ("bulk", "rare")


def test_interrupted_and_resumed(mpt_run: Path, crystals: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["pretrain", "--data", crystals, "--out", run, *MPT_WORDS]
    with interrupted(1):
        shown = linegraph(*words, code=130)
    assert f"--resume --out {run}" in shown.stderr
    assert len(read_history(run / "history.csv")) == 1
    assert_says(refused(*words, "--drop", "gap", "--resume"), "drop was [], now ['gap']")
    assert_says(refused(*words), run, "already exists")
    linegraph(*words, "--resume")
    for name in ("model.safetensors", "predictions.csv", "metrics.json"):
        assert (run / name).read_bytes() == (mpt_run / name).read_bytes()


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Also where they look like something else to a table, a plot or a file."""
    records = []
    for name in ("bg[pbe]", "x[/b]", "$d_{", "a,b"):
        records += some_records(name, range(5), "train") + some_records(name, [5, 6], "test")
    path = tmp_path / "data.json"
    path.write_text(json.dumps(records))
    run = tmp_path / "run"
    words = settings(**{**TINY_MPT, "epochs": 1})
    shown = linegraph("pretrain", "--data", path, "--out", run, *words)
    with (run / "history.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    for name in ("bg[pbe]", "x[/b]", "$d_{", "a,b"):
        assert f"│ {name} " in shown.stdout
        assert float(row[f"train_mae_{name}"]) > 0
    assert set(load_weights(run).outputs) == {"bg[pbe]", "x[/b]", "$d_{", "a,b"}


def test_what_pretrain_refuses(mpt_run: Path, crystals: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["pretrain", "--out", run, *MPT_WORDS]
    line = refused(*words, "--data", crystals, "--recipe", "small")
    assert_says(line, "'small' trains MODEL-3 on barriers: use train")
    line = refused(*words, "--data", crystals, "--drop", "gab")
    assert_says(line, "unknown property 'gab'", "nearest is 'gap'", "bulk, gap, rare", crystals)
    assert_says(refused(*words, "--data", tmp_path / "nowhere"), tmp_path / "nowhere")
    assert_says(refused(*words, "--data", data), data)
    assert_says(refused(*words, "--data", crystals, "--set", "balance=all"), "balance", "count")
    assert "--data" in linegraph(*words, code=2).stderr
    frozen = "freeze=[embeddings, alignn_layers, conv_layers, head]"
    for i, more in enumerate(([], ["--set", "unfreeze_at=1"])):
        frozen_words = ["--data", crystals, "--set", frozen, *more, "--out", tmp_path / f"f{i}"]
        line = refused(*words, *frozen_words)
        assert_says(line, "field freeze", "every part of the model is frozen")
    line = refused(*words, "--data", crystals, "--set", "unfreeze_at=1")
    assert_says(line, "field unfreeze_at", "no part is frozen")
    assert list(tmp_path.iterdir()) == []


# --- train --init ---------------------------------------------------------------------------------


def test_init_is_asked_for(data: Path, tmp_path: Path) -> None:
    words = ["train", "--data", data, "--out", tmp_path / "run", "--recipe", "transfer-all", *WORDS]
    assert_says(refused(*words), "--init", "--set pretrained=false")
    assert not (tmp_path / "run").exists()
    linegraph(*words, "--set", "pretrained=false", "--epochs", 1)


def test_differences_end_where_the_message_says(mpt_run: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "--data", data, "--out", run, "--recipe", "scratch-model-3-paper"]
    words += ["--init", mpt_run, *settings(epochs=1, hidden=4, alignn_layers=2)]
    line = refused(*words)
    assert_says(
        line, mpt_run / "model.safetensors", "hidden is 8 there, 4 here",
        "alignn_layers is 1 there, 2 here", "canonical is False there, True here",
        "max_neighbors is 8 there, 12 here", "lattice_decimals is None there, 5 here",
        "shell_tol is 0.001 there, 1e-08 here",
    )  # fmt: skip
    assert "conv_layers" not in line
    assert not run.exists()
    linegraph(*words, *shlex.split(line.partition("To follow it: ")[2]))
    assert load_weights(run).graph_settings == load_weights(mpt_run).graph_settings


@pytest.mark.parametrize("kind", ["truncated", "text", "missing", "folder"])
def test_init_that_is_none(kind: str, mpt_run: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    if kind == "truncated":
        file.write_bytes((mpt_run / "model.safetensors").read_bytes()[:-10])
    elif kind == "text":
        file.write_text("weights")
    words = ["train", "--data", data, "--out", tmp_path / "run", *WORDS]
    line = refused(*words, "--init", tmp_path if kind == "folder" else file)
    assert_says(line, file, "no such" if kind in ("missing", "folder") else "no readable")
    assert not (tmp_path / "run").exists()


def test_what_weights_are_not_for(
    mpt_run: Path, crystals: Path, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["train", "--data", data, "--out", run, "--recipe", "small", *WORDS]
    line = refused(*words, "--init", mpt_run, "--set", "new_head=false")
    assert_says(line, mpt_run / "model.safetensors", "is a MPT", "MODEL-3", "head cannot be")
    assert_says(refused(*words, "--set", "model=MPT"), "pre-trains on properties: use pretrain")
    for command in (
        ["predict", data, "--weights", mpt_run],
        ["evaluate", mpt_run, "--data", data, "--out", tmp_path / "e"],
    ):
        assert_says(refused(*command), mpt_run, "holds MPT", "train --init")
    line = refused("train", "--data", crystals, "--out", run, "--recipe", "small", *WORDS)
    assert_says(line, crystals)
    assert not run.exists()
    assert not (tmp_path / "e").exists()


def test_resume_needs_the_same_init(mpt_run: Path, data: Path, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "start.safetensors"
    file.write_bytes((mpt_run / "model.safetensors").read_bytes())
    words = ["train", "--data", data, "--recipe", "transfer-gradual", *WORDS]
    words += ["--set", "unfreeze_at=1"]
    linegraph(*words, "--init", mpt_run, "--out", tmp_path / "whole")
    with interrupted(1):
        linegraph(*words, "--init", file, "--out", run, code=130)
    # Another training with other weights took the file's place meanwhile.
    linegraph(*words, "--init", file, "--out", tmp_path / "other", "--seed", 7)
    other = tmp_path / "other"
    line = refused(*words, "--init", other, "--out", run, "--resume")
    assert_says(line, run / "config.yaml", "init was")
    linegraph(*words, "--init", file, "--out", run, "--resume")
    for name in ("model.safetensors", "predictions.csv"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# --- data -----------------------------------------------------------------------------------------


def test_data_counts_properties(crystals: Path, tmp_path: Path) -> None:
    shown = linegraph("data", "--data", crystals).stdout
    assert shown.splitlines()[0] == str(crystals)
    # Crystals 10 to 19 have bulk and gap, and 3, 23 and 29 one of these and rare.
    assert_says(shown, "crystals     30, 13 with several properties", "2 to 2, median 2")
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    held_out = {i for positions in HELD_OUT.values() for i in positions}
    for name in NAMES:
        strict = sum(i not in held_out for i in TRAIN[name])
        assert rows[name] == [str(n) for n in (len(TRAIN[name]), len(HELD_OUT[name]), strict)]
    assert "5 structures are held out for one property and trained on for another" in shown
    # One file of it will do, too.
    shown = linegraph("data", "--data", crystals / "rare.json").stdout
    assert "crystals     4, 0 with several" in shown
    out = tmp_path / "bands.json"
    assert "--out" in linegraph("data", "--data", crystals, "--out", out, code=2).stderr
    assert not out.exists()


def test_data_names_bad_records(tmp_path: Path) -> None:
    bad = {**some_records("bulk", [1], "train")[0], "id": "bad", "value": "high"}
    folder = property_folder(tmp_path / "set", more=[bad])
    line = refused("data", "--data", folder)
    assert_says(line, folder / "more.json", "'bad' (number 1)", "field value")
    shown = linegraph("data", "--data", folder, "--skip-bad")
    (skipped,) = shown.stderr.splitlines()
    assert_says(skipped, "skipped", folder / "more.json", "'bad' (number 1)")
    assert "crystals     30" in shown.stdout


# --- convert --------------------------------------------------------------------------------------

SIZES = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 8, "head": 8}


def reference(path: Path, name: str) -> Path:
    torch.manual_seed(0)
    model = package.build_model(name, **SIZES)
    torch.save(dict(package.reference_state_dict(model)), path)
    return path


def test_convert_then_train(data: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mpt.safetensors"
    shown = linegraph("convert", reference(tmp_path / "mpt.pt", "MPT"), weights).stdout
    assert_says(shown, "MPT (", "hidden 8", "properties 7", f"written to   {weights}")
    words = ["train", "--data", data, "--recipe", "small", "--init", weights, *settings(epochs=1)]
    line = refused(*words, "--out", tmp_path / "run")
    follow = shlex.split(line.partition("To follow it: ")[2])
    linegraph(*words, "--out", tmp_path / "run", *follow)
    assert load_weights(tmp_path / "run").graph_settings["lattice_decimals"] == 5


def test_convert_asks_which_model(tmp_path: Path) -> None:
    source, weights = reference(tmp_path / "m.pt", "MODEL-3"), tmp_path / "m.safetensors"
    line = refused("convert", source, weights)
    assert_says(line, source, "MODEL-3", "MODEL-1-ADD", "--model")
    assert not weights.exists()
    shown = linegraph("convert", source, weights, "--model", "MODEL-3").stdout
    assert shown.startswith("MODEL-3 (")
    assert load_weights(weights).name == "MODEL-3"
    assert_says(refused("convert", source, weights, "--model", "MODEL-9"), "MODEL-9", "MODEL-4")
    assert_says(refused("convert", source, weights, "--model", "MODEL-4"), source, "MODEL-4")
    assert load_weights(weights).name == "MODEL-3"


@pytest.mark.parametrize("kind", ["pickle", "model", "text", "missing"])
def test_convert_opens_no_pickle(kind: str, tmp_path: Path) -> None:
    source, weights = tmp_path / "m.pt", tmp_path / "m.safetensors"
    ran = tmp_path / "ran"
    if kind == "pickle":
        source.write_bytes(pickle.dumps(_Runs(ran)))
    elif kind == "model":
        torch.save(package.build_model("MODEL-3", **SIZES), source)
    elif kind == "text":
        source.write_text("weights")
    assert_says(refused("convert", source, weights), source)
    assert not ran.exists()
    assert not weights.exists()


class _Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))
