"""Run folders: whether every file in them is whole, and what two equal runs have in common."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

#: What differs between equal runs: how long things took.
CLOCKS = ("seconds", "cpu_s", "wall_s")


def contents(folder: Path) -> dict[str, Any]:
    """What is in every file of a folder, files that are still being written left out.

    Clocks are left out, and of checkpoints all but weights and steps. To read them is to check
    that each is whole.

    Returns:
        by path within the folder.

    Raises:
        AssertionError: a file that cannot be read, or that nobody expects.
    """
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith(".partial-"):
            try:
                found[str(file.relative_to(folder))] = _content(file)
            except Exception as error:
                raise AssertionError(f"{file}: {type(error).__name__}: {error}") from error
    return found


def unfinished(folder: Path) -> list[Path]:
    """The files that nobody has finished."""
    return sorted(folder.rglob(".partial-*"))


def stage(folder: Path) -> str:
    """How far a run has come, in words."""
    names = {file.name for file in folder.rglob("*") if file.is_file()}
    if "config.yaml" not in names:
        return "before config.yaml"
    top = {file.name for file in folder.iterdir()}
    if top & {"metrics.json", "ranking.csv"}:
        return "the last files"
    if "model.safetensors" in names or "predictions.csv" in names:
        return "first results there"
    if names & {"last.ckpt"} or ({"records", "structures"} & top and len(names) > 1):
        return "underway"
    return "nothing done yet"


def _content(file: Path) -> Any:
    data = file.read_bytes()
    match file.suffix:
        case ".json":
            return _without_clocks(json.loads(data))
        case ".yaml":
            return yaml.safe_load(data)
        case ".csv":
            return _table(data.decode())
        case ".png":
            Image.open(io.BytesIO(data)).load()
        case ".safetensors":
            load_file(file)
        case ".ckpt":
            return _steps(torch.load(file, map_location="cpu", weights_only=True))
        case other:
            raise ValueError(f"nobody writes {other!r} here")
    return hashlib.sha256(data).hexdigest()


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_clocks(v) for k, v in value.items() if k not in CLOCKS}
    return value


def _table(text: str) -> list[dict[str, str]]:
    assert text.endswith("\n"), "the last line has no end"
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    return [
        {key: cell for key, cell in zip(header, row, strict=True) if key not in CLOCKS}
        for row in rows
    ]


def _steps(checkpoint: dict[str, Any]) -> dict[str, Any]:
    weights = {
        name: hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        if tensor.dim()
        else tensor.item()
        for name, tensor in checkpoint["state_dict"].items()
    }
    return {"epoch": checkpoint["epoch"], "global_step": checkpoint["global_step"], **weights}
