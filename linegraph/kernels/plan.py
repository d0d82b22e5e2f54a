"""What a pass over the edges is wanted for."""

from __future__ import annotations

from typing import NamedTuple

from .backend import BatchNorm
from .edges import Edges


class Plan(NamedTuple):
    """What is wanted beside the sums at the nodes.

    Attributes:
        edges: the edges.
        norm: how m becomes the new edges; None where they are not wanted.
        return_m: whether m itself is wanted (``norm`` is None then).
        keep_m: whether m is kept when all is done.
    """

    edges: Edges
    norm: BatchNorm | None = None
    return_m: bool = False
    keep_m: bool = False
