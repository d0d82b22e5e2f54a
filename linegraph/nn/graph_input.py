"""What layers are given as a graph: in which form, and whether its line graph fits its bonds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from ..transforms import bond_cosine, check_sizes, line_index


def as_data(graph: Any) -> Any:
    """The graph; fields in a mapping (``graph.to_dict()``) become a ``Data``."""
    return Data.from_dict(dict(graph)) if isinstance(graph, Mapping) else graph


def line_graph_of(graph: Any) -> tuple[Tensor, Tensor]:
    """Line graph of the input: its own, or made here, on its device.

    Its own one is looked at first: a transform that reorders or drops bonds knows nothing of pairs
    of them, and what is left would give another number without a word.

    Args:
        graph: anything with ``z``, ``edge_index``, ``edge_vec``.

    Returns:
        line_index ``[2, T]``, line_cos ``[T]``.

    Raises:
        ValueError: fields do not fit each other; or ``edge_vec`` requires a gradient, from which
            the angles would be missing. Of a line graph that is there, neither is looked at while
            ``torch.compile`` traces, which knows no numbers yet.
    """
    edge_index, edge_vec = graph["edge_index"], graph["edge_vec"]
    copies: Tensor | None = getattr(graph, "multiplicity", None)
    check_sizes(edge_index, edge_vec, copies)
    if "line_index" not in graph:
        pairs = line_index(edge_index, graph["z"].size(0), copies)
        return pairs, bond_cosine(edge_vec, pairs)
    pairs, cosine = graph["line_index"], graph["line_cos"]
    if not torch.compiler.is_compiling():
        if misfit := _misfit(edge_index, pairs, cosine, getattr(graph, "line_end", None)):
            raise ValueError(
                f"the line graph does not fit the bonds: {misfit}; apply linegraph.LineGraph "
                "after any transform that changes the bonds"
            )
        wanted = torch.is_grad_enabled() and edge_vec.requires_grad and cosine.numel() > 0
        if wanted and not cosine.requires_grad:
            raise ValueError(
                "edge_vec requires a gradient but line_cos was made without: angles would be "
                "missing from it; apply linegraph.LineGraph after edge_vec has been set"
            )
    return pairs, cosine


def _misfit(edge_index: Tensor, pairs: Tensor, cosine: Tensor, ends: Tensor | None) -> str | None:
    """In which way, if any, pairs of bonds are not pairs of these bonds."""
    bonds, count = edge_index.size(1), pairs.size(1)
    if cosine.size(0) != count:
        return f"line_index has {count} pairs of bonds, line_cos {cosine.size(0)}"
    if ends is not None and ends.size(0) != bonds:
        return f"there are {bonds} bonds, line_end has {ends.size(0)}"
    if not count:
        return None
    # Before anything is looked up: a GPU would stop for good.
    low, high = torch.stack(torch.aminmax(pairs)).tolist()
    if low < 0 or high >= bonds:
        return f"line_index names bond {low if low < 0 else high}, there are {bonds} bonds"
    source, target = edge_index
    meet = (target.index_select(0, pairs[0]) == source.index_select(0, pairs[1])).all()
    # Where a transform added bonds, all pairs of the others still meet.
    kept = meet.new_ones(())
    if ends is not None:
        kept = (torch.bincount(pairs[1], minlength=bonds).cumsum(0) == ends).all()
    meet_all, kept_all = torch.stack([meet, kept]).tolist()
    if not meet_all:
        return "line_index joins bonds that do not meet"
    return None if kept_all else "line_end does not say where the pairs of each bond end"
