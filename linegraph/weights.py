"""Weights on disk: tensors, and all that is needed to use them, in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .checkpoint import DTYPES
from .errors import InputError, shortened
from .models import Model, build_model

FORMAT = "linegraph-1"

#: torch can hold a tensor of more, but calculates nothing with it.
DIMENSIONS = 64

#: What the format of a file of several models begins with (:mod:`linegraph.ensemble_file`).
ENSEMBLE = "linegraph-ensemble-"


class Weights(NamedTuple):
    """A model read from a file.

    Attributes:
        model: the model, in evaluation mode, on the CPU.
        graph_settings: arguments of :func:`linegraph.views` it was trained with.
        name: the model's name.
        config: its sizes.
        outputs: names of its outputs, where it has several.
    """

    model: Model
    graph_settings: dict[str, Any]
    name: str
    config: dict[str, Any]
    outputs: tuple[str, ...] = ()


def save_weights(
    path: str | PathLike[str],
    model: Model,
    name: str,
    config: dict[str, Any],
    graph_settings: dict[str, Any],
    outputs: Sequence[str] = (),
) -> None:
    """Write a model to a safetensors file.

    Args:
        path: the file.
        model: a model built as ``build_model(name, **config)``.
        name: its name.
        config: its sizes.
        graph_settings: arguments of :func:`linegraph.views` that make its input.
        outputs: names of its outputs, where it has several.
    """
    about: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "config": config,
        "graph_settings": graph_settings,
    }
    if outputs:
        about["outputs"] = list(outputs)
    write_tensors(path, model.state_dict(), about)


def load_weights(path: str | PathLike[str]) -> Weights:
    """Read a model from a file of :func:`save_weights`, or from the folder of a run.

    Raises:
        InputError: no such file, not a file of ours, damaged, or of another version.
    """
    path = tensor_file(path)
    about, state = read_tensors(path)
    if str(about.get("format", "")).startswith(ENSEMBLE):
        raise InputError(
            "holds several models that predict together; one alone is in each fold of the run",
            file=path,
        )
    with fitting(path):
        if about.get("format") != FORMAT:
            raise InputError("holds no linegraph model", file=path, field="format")
        name, config, settings = about["name"], about["config"], about["graph_settings"]
        outputs = about.get("outputs", [])
        if not isinstance(outputs, list):
            raise TypeError("outputs is no list of names")
        model = model_of(name, config, settings, state)
        if outputs and len(outputs) != len(getattr(model, "heads", ())):
            raise ValueError(f"{len(outputs)} names of outputs, but another number of heads")
    check_finite(state, path)
    check_intact(about, state, path)
    return Weights(model, settings, name, config, tuple(map(str, outputs)))


def model_of(
    name: str, config: dict[str, Any], graph_settings: dict[str, Any], state: Mapping[str, Tensor]
) -> Model:
    """A model with these weights, in their precision and in evaluation mode.

    Raises:
        TypeError, ValueError, RuntimeError, StopIteration: these do not belong together, or no
            graphs can be made by such settings.
    """
    _check_settings(graph_settings)
    for size in ("alignn_layers", "conv_layers", "properties"):
        if config.get(size, 0) > len(state):
            raise ValueError(f"{size} is {config[size]}, but there are {len(state)} tensors")
    first = next(iter(t for t in state.values() if t.is_floating_point()))
    if first.dtype not in DTYPES:
        raise ValueError(f"weights are {first.dtype}")
    # Compared before memory is taken for sizes that the file only claims to have.
    with torch.device("meta"):
        outline = build_model(name, **config).state_dict()
    for key, tensor in outline.items():
        if key not in state or state[key].shape != tensor.shape:
            raise ValueError(f"{key} is not there, or of another shape than {list(tensor.shape)}")
        kind = first.dtype if tensor.is_floating_point() else tensor.dtype
        if state[key].dtype != kind:
            raise ValueError(f"{key} is {state[key].dtype}, not {kind}")
    model = build_model(name, **config)
    model.to(first.dtype).load_state_dict(state)
    return model.eval()


def _check_settings(settings: dict[str, Any]) -> None:
    """Refuse settings of graphs that no training has, or that no machine has room for."""
    known: dict[str, Callable[[Any], bool]] = {
        "canonical": lambda v: isinstance(v, bool),
        "max_neighbors": lambda v: type(v) is int and 1 <= v <= 200,
        "shell_tol": lambda v: type(v) in (int, float) and 0 <= v <= 1,
        "lattice_decimals": lambda v: v is None or (type(v) is int and 0 <= v <= 16),
    }
    for key, value in settings.items():
        if key not in known or not known[key](value):
            raise ValueError(f"graph setting {key!r} is {shortened(repr(value), 100)}")


def tensor_file(path: str | PathLike[str]) -> Path:
    """The file of weights that a path means: itself, or the one in the folder of a run.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    if isdir(path):
        path = path / "model.safetensors"
    if not isfile(path):
        raise InputError("no such weights", file=path)
    return path


def write_tensors(
    path: str | PathLike[str], state: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Write tensors and what they are, with everybody's permission to read them.

    Args:
        path: the file.
        state: tensors by name.
        about: what JSON can hold; ``format`` among it.
    """
    from safetensors.torch import save

    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    # All in one entry: safetensors writes several in random order, and equal models would be
    # unequal files.
    said = {"linegraph": json.dumps({**about, "sha256": _digest(tensors)})}
    # Written by ourselves: its own files are readable by their owner alone, it leaves others beside
    # them when it is killed, and of a full disk it does not say which file it was.
    Path(path).write_bytes(save(tensors, said))


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What :func:`write_tensors` wrote: what the tensors are, if it is said, and the tensors.

    Raises:
        InputError: no safetensors file, or what it says of itself is no JSON object.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            for key in file.keys():  # noqa: SIM118
                dimensions = len(file.get_slice(key).get_shape())
                if dimensions > DIMENSIONS:
                    raise InputError(
                        f"has {dimensions} dimensions, more than {DIMENSIONS}",
                        file=path,
                        field=key,
                    )
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"is no readable safetensors file ({error})", file=path) from error
    with fitting(path):
        about = json.loads(metadata.get("linegraph", "{}"))
        if not isinstance(about, dict):
            raise TypeError("what the file says of itself is no JSON object")
    return about, state


def check_intact(about: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that have changed since they were written.

    Raises:
        InputError: they have. Files of earlier versions do not tell.
    """
    if about.get("sha256") not in (None, _digest(state)):
        raise InputError("is damaged: its weights are not those that were written", file=path)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of tensors by name: a bit that is flipped would be another weight."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """What goes wrong in the block is the fault of a file that contradicts itself."""
    try:
        yield
    except InputError as error:
        raise error.at(file=path) from None
    except (
        ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError,
        StopIteration,
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"does not fit the model it names ({reason})", file=path) from error


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are NaN or infinite.

    Raises:
        InputError: there are some; the field is the tensor's name.
    """
    with torch.no_grad():
        broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError("holds NaN or infinite weights", file=path, field=broken[0])
