"""Models by their published names."""

from __future__ import annotations

import inspect
from typing import Any

from ..nn import ALIGNN
from .band import BandModel
from .base import Model

_MODELS: dict[str, type[Model]] = {
    "MODEL-3": BandModel,
}


def models() -> tuple[str, ...]:
    """Names that :func:`build_model` knows."""
    return tuple(_MODELS)


def build_model(name: str, **config: Any) -> Model:
    """Build a model by its published name.

    Args:
        name: see :func:`models`.
        config: sizes other than the published ones (``hidden=64``, ``alignn_layers=2``, ...);
            arguments of :class:`linegraph.nn.ALIGNN`, and ``head``, the width inside the head.

    Raises:
        ValueError: unknown name or setting; the message lists the known ones.
    """
    try:
        cls = _MODELS[name]
    except KeyError:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(_MODELS)}") from None
    known = set(inspect.signature(ALIGNN).parameters) | {"head"}
    if unknown := sorted(set(config) - known):
        raise ValueError(
            f"{name} has no setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    return cls(**config)
