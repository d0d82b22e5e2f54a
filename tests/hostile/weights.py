"""Weights as safetensors: cases, and how they are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linegraph.convert import reference_state_dict
from linegraph.domain import Domain
from linegraph.ensemble import Ensemble, load_ensemble, save_ensemble
from linegraph.intervals import calibrate
from linegraph.models import BandModel, Model, build_model
from linegraph.weights import load_weights, save_weights, write_tensors
from training.forest import grow
from training.kernel_machine import fit_machine

from .case import Reader
from .damage import damaged
from .documents import spoiled

CONFIG: dict[str, Any] = {
    "hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 8, "head": 8,
}  # fmt: skip
BAND: dict[str, Any] = {
    "hidden": 8, "head": 8, "trees": 3, "leaves": 6, "supports": 20, "machines": 2,
    "tree_share": 0.5,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "canonical": False, "max_neighbors": 12, "shell_tol": 1e-3, "lattice_decimals": None,
}  # fmt: skip


@cache
def original(kind: str) -> tuple[bytes, dict[str, Tensor]]:
    """A file as this package or torch writes it, and the tensors in it."""
    torch.manual_seed(1)
    path = Path(mkdtemp()) / "model"
    if kind == "weights":
        model = build_model("MODEL-4", **CONFIG)
        save_weights(path, model, "MODEL-4", CONFIG, SETTINGS)
        return path.read_bytes(), model.state_dict()
    if kind == "band":
        grown = _band()
        save_weights(path, grown, "BAND-1", BAND, SETTINGS)
        return path.read_bytes(), grown.state_dict()
    if kind == "ensemble":
        ensemble = _ensemble()
        save_ensemble(path, ensemble)
        return path.read_bytes(), _tensors_of(ensemble)
    model = build_model("MODEL-3", **CONFIG)
    zipped = kind == "zip"
    torch.save(reference_state_dict(model), path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes(), model.state_dict()


def _band() -> Model:
    """A BAND-1 whose trees and kernel machine say something."""
    model = build_model("BAND-1", **BAND)
    assert isinstance(model, BandModel)
    random = np.random.default_rng(1)
    features, roots = random.normal(size=(20, model.forest.features)), random.random(20)
    grown = grow(features, roots, BAND["trees"], BAND["leaves"], seed=0)
    model.forest.load_state_dict(grown.state_dict())
    fitted = fit_machine(features, roots, BAND["supports"], 0, machines=2, share=0.5)
    model.machine.load_state_dict(fitted.state_dict())
    return model


def _ensemble() -> Ensemble:
    random = np.random.default_rng(1)
    members = tuple(build_model("MODEL-3", **CONFIG).eval() for _ in range(2))
    names = tuple(f"record {i}" for i in range(20))
    member = np.arange(20) % 2
    domain = Domain(names, member, random.normal(size=(2, 20, 8)).astype(np.float32))
    target, predicted = random.random((2, 20))
    calibration = calibrate(target, predicted, domain.held_out, member)
    return Ensemble("MODEL-3", CONFIG, SETTINGS, members, domain, calibration)


def _tensors_of(ensemble: Ensemble) -> dict[str, Tensor]:
    return {
        f"{k}.{name}": tensor
        for k, member in enumerate(ensemble.members)
        for name, tensor in member.state_dict().items()
    }


def same(found: dict[str, Tensor], kind: str) -> None:
    """Refuse other tensors than those of the original of a kind."""
    wanted = original(kind)[1]
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted), "other weights"


def _read_weights(path: Path) -> None:
    same(load_weights(path).model.state_dict(), "weights")


def _read_band(path: Path) -> None:
    same(load_weights(path).model.state_dict(), "band")


def _read_ensemble(path: Path) -> None:
    same(_tensors_of(load_ensemble(path)), "ensemble")


def written(folder: Path, data: bytes, name: str = "model.safetensors") -> Path:
    """A file of bytes."""
    path = folder / name
    path.write_bytes(data)
    return path


def _safetensors(kind: str) -> Callable[[Path, Random], Path]:
    def make(folder: Path, random: Random) -> Path:
        data = original(kind)[0]
        if random.randrange(3) == 0:
            return written(folder, damaged(data, random))
        return written(folder, _with_header(data, lambda header: _lie(header, random)))

    return make


def _with_header(data: bytes, change: Callable[[dict[str, Any]], bytes]) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    header = change(json.loads(data[8 : 8 + length]))
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _other_band(name: str, change: Callable[[Tensor], object]) -> Callable[[Path], Path]:
    """A BAND-1 as we would write it, but for one tensor."""

    def make(folder: Path) -> Path:
        tensors = {key: tensor.clone() for key, tensor in original("band")[1].items()}
        change(tensors[name])
        about = {
            "format": "linegraph-1", "name": "BAND-1", "config": BAND, "graph_settings": SETTINGS,
        }  # fmt: skip
        path = folder / "model.safetensors"
        write_tensors(path, tensors, about)
        return path

    return make


def _lie(header: dict[str, Any], random: Random) -> bytes:
    """Damage to the table of tensors, or to what the file says of itself."""
    if random.randrange(2):
        return spoiled(header, random)
    about = json.loads(header["__metadata__"]["linegraph"])
    header["__metadata__"]["linegraph"] = spoiled(about, random).decode("utf-8", "replace")
    return json.dumps(header).encode()


def _says(kind: str, **changes: Any) -> Callable[[Path], Path]:
    """A file that says something else of itself: values by dotted name."""

    def change(header: dict[str, Any]) -> bytes:
        about = json.loads(header["__metadata__"]["linegraph"])
        for name, value in changes.items():
            *above, last = name.split("__")
            holder = about
            for key in above:
                holder = holder[key]
            holder[last] = value
        header["__metadata__"]["linegraph"] = json.dumps(about)
        return json.dumps(header).encode()

    return lambda folder: written(folder, _with_header(original(kind)[0], change))


def _tensor(**changes: Any) -> Callable[[Path], Path]:
    """A file whose first tensor is declared otherwise."""

    def change(header: dict[str, Any]) -> bytes:
        name = min(key for key in header if key != "__metadata__")
        header[name] |= changes
        return json.dumps(header).encode()

    return lambda folder: written(folder, _with_header(original("weights")[0], change))


def _named(name: str) -> Callable[[Path], Path]:
    """A file with a tensor of a name that is a path."""

    def change(header: dict[str, Any]) -> bytes:
        header[name] = header.pop(min(key for key in header if key != "__metadata__"))
        return json.dumps(header).encode()

    return lambda folder: written(folder, _with_header(original("weights")[0], change))


def _lying_length(length: int) -> Callable[[Path], Path]:
    data = struct.pack("<Q", length)
    return lambda folder: written(folder, data + original("weights")[0][8:])


_HUGE = 10**9

_OF_WEIGHTS: dict[str, Callable[[Path], Path]] = {
    "untouched": lambda folder: written(folder, original("weights")[0]),
    "header of 2^63 bytes": _lying_length(2**63),
    "header of 10 GB": _lying_length(10**10),
    "path in a tensor's name": _named("../../../../tmp/evil"),
    "tensor of 10^12 numbers": _tensor(shape=[10**6, 10**6]),
    "tensors that overlap": _tensor(data_offsets=[0, 2**40]),
    "negative offset": _tensor(data_offsets=[-8, 24]),
    "tensor of 8 bits": _tensor(dtype="F8_E4M3"),
    "tensor of whole numbers": _tensor(dtype="I32"),
    **{
        f"{size} = 10^9": _says("weights", **{f"config__{size}": _HUGE})
        for size in (*CONFIG, "heads", "bond_bins", "angle_bins")
    },
    "alignn_layers = 10^5": _says("weights", config__alignn_layers=10**5),
    "hidden = 20000": _says("weights", config__hidden=20_000),
    "hidden = -1": _says("weights", config__hidden=-1),
    "hidden = 8.5": _says("weights", config__hidden=8.5),
    "hidden = NaN": _says("weights", config__hidden=float("nan")),
    "a config that is a list": _says("weights", config=[1]),
    "a name that is a list": _says("weights", name=["MODEL-4"]),
    "max_neighbors = 10^9": _says("weights", graph_settings__max_neighbors=_HUGE),
    "max_neighbors = text": _says("weights", graph_settings__max_neighbors="12"),
    "shell_tol = 10^9": _says("weights", graph_settings__shell_tol=1e9),
    "shell_tol = NaN": _says("weights", graph_settings__shell_tol=float("nan")),
    "lattice_decimals = -5": _says("weights", graph_settings__lattice_decimals=-5),
    "canonical = text": _says("weights", graph_settings__canonical="no"),
    "dtype in graph settings": _says("weights", graph_settings__dtype="float64"),
    "line_graph in graph settings": _says("weights", graph_settings__line_graph=False),
    "outputs of another number": _says("weights", outputs=["a"] * 1000),
}

_OF_BAND: dict[str, Callable[[Path], Path]] = {
    "untouched": lambda folder: written(folder, original("band")[0]),
    "trees that go round in circles": _other_band("forest.child", lambda t: t.zero_()),
    "children outside of the tree": _other_band("forest.child", lambda t: t.fill_(32_767)),
    "trees that ask for no feature": _other_band("forest.feature", lambda t: t.fill_(30_000)),
    "features below -1": _other_band("forest.feature", lambda t: t.fill_(-32_768)),
    "quantiles that fall": _other_band("machine.quantile", lambda t: t.copy_(-t)),
    "decay of 0": _other_band("machine.decay", lambda t: t.zero_()),
    "decay of NaN": _other_band("machine.decay", lambda t: t.fill_(float("nan"))),
    "thresholds of NaN": _other_band("forest.threshold", lambda t: t.fill_(float("nan"))),
    **{
        f"{size} = 10^9": _says("band", **{f"config__{size}": _HUGE})
        for size in ("trees", "leaves", "supports", "features")
    },
    "no trees": _says("band", config__trees=0),
    "-1 supports": _says("band", config__supports=-1),
    "trees = NaN": _says("band", config__trees=float("nan")),
    "share of 2": _says("band", config__tree_share=2),
    "share of -1": _says("band", config__machine_share=-1),
    "share of NaN": _says("band", config__tree_share=float("nan")),
    "other share of NaN": _says("band", config__machine_share=float("nan")),
    "share as text": _says("band", config__tree_share="0.5"),
    "dropout of 2": _says("band", config__dropout=2),
    "said to be MODEL-4": _says("band", name="MODEL-4", config=CONFIG),
}

_OF_ENSEMBLE: dict[str, Callable[[Path], Path]] = {
    "untouched": lambda folder: written(folder, original("ensemble")[0]),
    "10^9 members": _says("ensemble", members=_HUGE),
    "no members": _says("ensemble", members=0),
    "NaN members": _says("ensemble", members=float("nan")),
    "members as text": _says("ensemble", members="2"),
    "hidden = 10^9": _says("ensemble", config__hidden=_HUGE),
    "alignn_layers = 10^9": _says("ensemble", config__alignn_layers=_HUGE),
    "offset NaN": _says("ensemble", offset=float("nan")),
    "offset as a list": _says("ensemble", offset=[1]),
    "records of other types": _says("ensemble", records=[1] * 20),
    "records as an object": _says("ensemble", records={}),
    "version 2": _says("ensemble", format="linegraph-ensemble-2"),
    "format as a list": _says("ensemble", format=[]),
}


READERS = (
    Reader("weights", "files", _safetensors("weights"), _read_weights, _OF_WEIGHTS, 2.0),
    Reader("band", "files", _safetensors("band"), _read_band, _OF_BAND, 1.0),
    Reader("ensemble", "files", _safetensors("ensemble"), _read_ensemble, _OF_ENSEMBLE, 2.0),
)
