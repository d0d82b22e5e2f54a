"""Files that hold no model of ours, on the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from linegraph.models import build_model
from linegraph.weights import save_weights
from tests.integration.command import assert_says, refused


def weights_of(kind: str, run: Path, folder: Path) -> Path:
    """A file or folder that holds no model of ours."""
    path = folder / "model.safetensors"
    content = (run / "model.safetensors").read_bytes()
    if kind == "missing":
        return path
    if kind == "folder without model":
        return folder
    if kind == "truncated":
        path.write_bytes(content[:-100])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("weights")
    elif kind == "checkpoint":
        shutil.copy(run / "checkpoints" / "last.ckpt", path)
    elif kind == "somebody else's":
        save_file({"weight": torch.ones(3)}, path)
    elif kind == "other sizes":
        save_weights(path, build_model("MODEL-3", hidden=4), "MODEL-3", {"hidden": 8}, {})
    elif kind == "NaN":
        model = build_model("MODEL-3", hidden=4, alignn_layers=0, conv_layers=0)
        torch.nn.init.constant_(next(model.parameters()), float("nan"))
        config = {"hidden": 4, "alignn_layers": 0, "conv_layers": 0}
        save_weights(path, model, "MODEL-3", config, {})
    elif kind == "tensor renamed":
        tensors = load_file(run / "model.safetensors")
        tensors["other"] = tensors.pop(min(tensors))
        save_file(tensors, path, metadata_of(run))
    return path


def metadata_of(run: Path) -> dict[str, str]:
    with safe_open(run / "model.safetensors", framework="pt") as file:
        metadata: dict[str, str] = file.metadata()
    return metadata


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("outputs", [(), ("gv", "ph", "pz", "dc", "ebg", "fe", "bg")])
def test_weights_of_properties(
    outputs: tuple[str, ...], folder: bool, tmp_path: Path, data: Path
) -> None:
    """Pre-trained, or converted from what was published, which names no outputs."""
    config = {"hidden": 4, "alignn_layers": 1, "conv_layers": 1}
    file = tmp_path / "model.safetensors"
    save_weights(file, build_model("MPT", **config), "MPT", config, {}, outputs)
    path = tmp_path if folder else file
    for command in (
        ["predict", data, "--weights", path],
        ["evaluate", path, "--data", data, "--out", tmp_path / "e"],
    ):
        line = refused(*command)
        assert_says(line, path, "holds MPT", "properties", "no barriers", "train --init")
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "no such weights"),
        ("folder without model", "no such weights"),
        ("truncated", "no readable safetensors"),
        ("empty", "no readable safetensors"),
        ("text", "no readable safetensors"),
        ("checkpoint", "no readable safetensors"),
        ("somebody else's", "no linegraph model"),
        ("other sizes", "does not fit"),
        ("tensor renamed", "does not fit"),
        ("NaN", "NaN or infinite weights"),
    ],
)
def test_weights(kind: str, problem: str, tmp_path: Path, data: Path, run: Path) -> None:
    path = weights_of(kind, run, tmp_path)
    for command in (
        ["predict", data, "--weights", path],
        ["evaluate", path, "--data", data, "--out", tmp_path / "e"],
    ):
        assert_says(refused(*command), tmp_path / "model.safetensors", problem)
    assert not (tmp_path / "e").exists()
