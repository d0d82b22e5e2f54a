"""Models by their published names: each said once, as parts put together."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from ..band_features import BAND_FEATURES
from ..nn import (
    ALIGNN,
    ALIGNNStack,
    AttentionReadout,
    Forest,
    KernelMachine,
    LinearHead,
    Merge,
    PropertyHead,
)
from .band import BandModel
from .base import Model
from .local import LocalModel
from .pair import DifferenceModel, PairModel
from .path_network import PathNetwork
from .properties import PropertiesModel
from .single import SingleModel

#: Properties of the published pre-training, in the order of its heads.
PROPERTIES = ("gv", "ph", "pz", "dc", "ebg", "fe", "bg")


def _head(trunk: ALIGNN, head: int) -> nn.Module:
    return PropertyHead(trunk.hidden, head)


def _mpt(trunk: ALIGNN, head: int, properties: int = len(PROPERTIES)) -> Model:
    return PropertiesModel(trunk, [_head(trunk, head) for _ in range(properties)])


def _band(trunk: ALIGNN, head: int) -> Model:
    return SingleModel(trunk, _head(trunk, head), "band")


def _pair(how: str) -> Callable[..., Model]:
    def build(trunk: ALIGNN, head: int) -> Model:
        return PairModel(trunk, Merge(how, trunk.hidden), _head(trunk, head))

    return build


def _difference(trunk: ALIGNN, head: int) -> Model:
    short = ALIGNNStack(trunk.hidden, alignn_layers=1, conv_layers=1)
    return DifferenceModel(trunk, short, Merge("concat", trunk.hidden), _head(trunk, head))


def _local(trunk: ALIGNN, head: int, heads: int = 1, dropout: float = 0.2) -> Model:
    readouts = [AttentionReadout(trunk.hidden, heads, dropout) for _ in range(2)]
    merge = Merge("concat", trunk.hidden)
    return LocalModel(trunk, readouts[0], readouts[1], merge, _head(trunk, head))


def _path(
    head: int,
    hidden: int = 256,
    networks: int = 4,
    trees: int = 100,
    leaves: int = 512,
    supports: int = 2304,
    machines: int = 16,
    tree_share: float = 0.25,
    machine_share: float = 0.25,
    dropout: float = 0.2,
    features: int = len(BAND_FEATURES),
) -> Model:
    return BandModel(
        [PathNetwork(features, hidden, head, dropout) for _ in range(networks)],
        Forest(features, trees, leaves),
        KernelMachine(features, supports, machines=machines),
        tree_share,
        machine_share,
    )


def _linear(name: str) -> Callable[..., Model]:
    def build(trunk: ALIGNN, head: int) -> Model:
        return SingleModel(trunk, LinearHead(trunk.hidden), name)

    return build


def _scratch_pair(how: str) -> Callable[..., Model]:
    def build(trunk: ALIGNN, head: int) -> Model:
        merge = Merge(how, trunk.hidden, project=False)
        return PairModel(trunk, merge, LinearHead(merge.channels))

    return build


_MODELS: dict[str, Callable[..., Model]] = {
    "ALIGNN": _linear("crystal"),
    "MPT": _mpt,
    "MODEL-1-ADD": _pair("add"),
    "MODEL-1-SUB": _pair("sub"),
    "MODEL-1-CC": _pair("concat"),
    "MODEL-2": _difference,
    "MODEL-3": _band,
    "MODEL-4": _local,
    "BAND-1": _path,
    "SCRATCH-ADD": _scratch_pair("add"),
    "SCRATCH-SUB": _scratch_pair("sub"),
    "SCRATCH-CC": _scratch_pair("concat"),
    "SCRATCH-MODEL-3": _linear("band"),
}

#: Models that the reference implementation has, too.
PUBLISHED: tuple[str, ...] = tuple(name for name in _MODELS if name != "BAND-1")


def models() -> tuple[str, ...]:
    """Names that :func:`build_model` knows."""
    return tuple(_MODELS)


def build_model(name: str, *, head: int = 128, **config: Any) -> Model:
    """Build a model by its published name.

    Args:
        name: see :func:`models`.
        head: width inside the head (ALIGNN and the SCRATCH models have a linear one).
        config: sizes other than the published ones: of the trunk, arguments of
            :class:`linegraph.nn.ALIGNN` (``hidden=64``, ``alignn_layers=2``, ...), for MPT also
            ``properties`` (how many), for MODEL-4 ``heads`` and ``dropout`` of its attention,
            and for BAND-1, which has none, ``hidden``, ``networks``, ``trees``, ``leaves``,
            ``supports``, ``machines``, ``features``, ``tree_share``, ``machine_share`` and
            ``dropout``.

    Raises:
        ValueError: unknown name or setting; the message lists the known ones.
    """
    try:
        build = _MODELS[name]
    except KeyError:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(_MODELS)}") from None
    own = inspect.signature(build).parameters
    has_trunk = "trunk" in own
    of_trunk = set(inspect.signature(ALIGNN).parameters) if has_trunk else set()
    of_model = set(own) - {"trunk", "head"}
    if unknown := sorted(set(config) - of_trunk - of_model):
        known = ", ".join(sorted(of_trunk | of_model | {"head"}))
        raise ValueError(f"{name} has no setting {', '.join(unknown)}; known are {known}")
    rest = {k: v for k, v in config.items() if k in of_model}
    if not has_trunk:
        return build(head=head, **rest)
    trunk = ALIGNN(**{k: v for k, v in config.items() if k in of_trunk})
    return build(trunk=trunk, head=head, **rest)
