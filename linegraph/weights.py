"""Weights on disk: tensors, and all that is needed to use them, in one safetensors file."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .errors import InputError
from .models import Model, build_model
from .paths import views

FORMAT = "linegraph-1"


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
    from safetensors.torch import save_file

    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    about: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "config": config,
        "graph_settings": graph_settings,
    }
    if outputs:
        about["outputs"] = list(outputs)
    # All in one entry: safetensors writes several in random order, and equal models would be
    # unequal files.
    path = Path(path)
    path.touch()
    mode = path.stat().st_mode
    save_file(state, path, {"linegraph": json.dumps(about)})
    # It makes files that their owner alone can read; a model is no secret.
    path.chmod(mode)


def load_weights(path: str | PathLike[str]) -> Weights:
    """Read a model from a file of :func:`save_weights`, or from the folder of a run.

    Raises:
        InputError: no such file, not a file of ours, damaged, or of another version.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise InputError("no such weights", file=path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"is no readable safetensors file ({error})", file=path) from error
    try:
        about = json.loads(metadata.get("linegraph", "{}"))
        if about.get("format") != FORMAT:
            raise InputError("holds no linegraph model", file=path, field="format")
        name, config, settings = about["name"], about["config"], about["graph_settings"]
        outputs = about.get("outputs", [])
        if not isinstance(outputs, list):
            raise TypeError("outputs is no list of names")
        inspect.signature(views).bind("band", (), **settings)
        model = build_model(name, **config)
        if outputs and len(outputs) != len(getattr(model, "heads", ())):
            raise ValueError(f"{len(outputs)} names of outputs, but another number of heads")
        first = next(iter(t for t in state.values() if t.is_floating_point()))
        model.to(first.dtype).load_state_dict(state)
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"does not fit the model it names ({reason})", file=path) from error
    with torch.no_grad():
        broken = [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError("holds NaN or infinite weights", file=path, field=broken[0])
    return Weights(model.eval(), settings, name, config, tuple(map(str, outputs)))
