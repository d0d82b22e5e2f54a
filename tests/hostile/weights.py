"""Weights as safetensors: cases, and how they are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from safetensors.torch import load
from torch import Tensor

from linegraph.ensemble_file import load_ensemble
from linegraph.weights import load_weights, write_tensors

from .case import Reader
from .damage import damaged
from .documents import spoiled
from .saved import BAND, CONFIG, SETTINGS, original, same, tensors_of

#: Where the tensors of a potential's machine are.
_MACHINE = "potential.machine"


def _read_weights(path: Path) -> None:
    same(load_weights(path).model.state_dict(), "weights")


def _read_band(path: Path) -> None:
    same(load_weights(path).model.state_dict(), "band")


def _read_ensemble(path: Path) -> None:
    same(tensors_of(load_ensemble(path)), "ensemble")


def _read_potential(path: Path) -> None:
    same(tensors_of(load_ensemble(path)), "potential")


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


def _other_potential(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Path], Path]:
    """An ensemble as we would write it, but for one tensor of the machine of its potential."""

    def make(folder: Path) -> Path:
        data = original("potential")[0]
        (length,) = struct.unpack("<Q", data[:8])
        about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["linegraph"])
        tensors = load(data)
        key = f"{_MACHINE}.{name}"
        tensors[key] = change(tensors[key])
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


def _tensor(
    kind: str = "weights", name: str | None = None, **changes: Any
) -> Callable[[Path], Path]:
    """A file of which a tensor, or the first one, is declared otherwise."""

    def change(header: dict[str, Any]) -> bytes:
        header[name or min(key for key in header if key != "__metadata__")] |= changes
        return json.dumps(header).encode()

    return lambda folder: written(folder, _with_header(original(kind)[0], change))


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
    "tensor of 65 dimensions": _tensor(name="head.output.bias", shape=[1] * 65),
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
    "scores of 65 dimensions": _tensor("ensemble", "scores", shape=[20] + [1] * 64),
}

_OF_POTENTIAL: dict[str, Callable[[Path], Path]] = {
    "untouched": lambda folder: written(folder, original("potential")[0]),
    "version 1": _says("potential", format="linegraph-ensemble-1"),
    "a potential that is a list": _says("potential", potential=[1]),
    "a source of 10^6 characters": _says("potential", potential__source="m" * 10**6),
    "a source that clears the screen": _says("potential", potential__source="\x1b[2J"),
    "errors of NaN": _says("potential", potential__mae=[float("nan"), 0.1]),
    "a single error": _says("potential", potential__mae=[0.1]),
    "offset of 0": _says("potential", potential__offset=0),
    "10^9 supports": _tensor("potential", f"{_MACHINE}.support", shape=[10**9, 2]),
    "10^15 supports of nothing": _tensor(
        "potential", f"{_MACHINE}.support", shape=[10**15, 0], data_offsets=[0, 0]
    ),
    "supports turned round": _other_potential("support", lambda t: t.T),
    "no supports": _other_potential("support", lambda t: t[:0]),
    "more supports than weights": _other_potential("support", lambda t: t.repeat(1000, 1)),
    "fewer weights than supports": _other_potential("weight", lambda t: t[:, 1:]),
    "weights of two machines": _other_potential("weight", lambda t: t.repeat(2, 1)),
    "weights of whole numbers": _other_potential("weight", lambda t: t.int()),
    "weights of 3e38": _other_potential("weight", lambda t: t.sign() * 3e38),
    "weights of NaN": _other_potential("weight", lambda t: t * float("nan")),
    "quantiles that fall": _other_potential("quantile", lambda t: -t),
    "a million quantiles": _other_potential("quantile", lambda t: t.repeat(10_000, 1)),
    "a machine that sees nothing": _other_potential("seen", lambda t: t & False),
    "seen as numbers": _other_potential("seen", lambda t: t.float()),
    "decay of 0": _other_potential("decay", lambda t: t * 0),
    "decay of -1": _other_potential("decay", lambda t: -t),
    "decay of 65 dimensions": _tensor("potential", f"{_MACHINE}.decay", shape=[1] * 65),
    "fill of three features": _other_potential("fill", lambda t: t.repeat(2)[:3]),
}


READERS = (
    Reader("weights", "files", _safetensors("weights"), _read_weights, _OF_WEIGHTS, 2.0),
    Reader("band", "files", _safetensors("band"), _read_band, _OF_BAND, 1.0),
    Reader("ensemble", "files", _safetensors("ensemble"), _read_ensemble, _OF_ENSEMBLE, 2.0),
    Reader("potential", "files", _safetensors("potential"), _read_potential, _OF_POTENTIAL, 1.0),
)
