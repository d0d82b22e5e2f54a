"""Weights on disk: tensors, and all that is needed to use them, in one safetensors file."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .errors import InputError
from .models import Model, build_model
from .paths import views

FORMAT = "linegraph-1"

#: What the format of a file of several models begins with (:mod:`linegraph.ensemble`).
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
    return Weights(model, settings, name, config, tuple(map(str, outputs)))


def model_of(
    name: str, config: dict[str, Any], graph_settings: dict[str, Any], state: Mapping[str, Tensor]
) -> Model:
    """A model with these weights, in their precision and in evaluation mode.

    Raises:
        TypeError, ValueError, RuntimeError, StopIteration: these do not belong together.
    """
    inspect.signature(views).bind("band", (), **graph_settings)
    model = build_model(name, **config)
    first = next(iter(t for t in state.values() if t.is_floating_point()))
    model.to(first.dtype).load_state_dict(state)
    return model.eval()


def tensor_file(path: str | PathLike[str]) -> Path:
    """The file of weights that a path means: itself, or the one in the folder of a run.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
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
    from safetensors.torch import save_file

    # All in one entry: safetensors writes several in random order, and equal models would be
    # unequal files.
    path = Path(path)
    path.touch()
    mode = path.stat().st_mode
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    save_file(tensors, path, {"linegraph": json.dumps(about)})
    # It makes files that their owner alone can read; a model is no secret.
    path.chmod(mode)


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What :func:`write_tensors` wrote: what the tensors are, if it is said, and the tensors.

    Raises:
        InputError: no safetensors file, or what it says of itself is no JSON object.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"is no readable safetensors file ({error})", file=path) from error
    with fitting(path):
        about = json.loads(metadata.get("linegraph", "{}"))
        if not isinstance(about, dict):
            raise TypeError("what the file says of itself is no JSON object")
    return about, state


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """What goes wrong in the block is the fault of a file that contradicts itself."""
    try:
        yield
    except InputError as error:
        raise error.at(file=path) from None
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
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
