"""The same hop the other way: its features without measuring again."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from .band_features import BAND_FEATURES
from .images import IMAGES


class _Rule(NamedTuple):
    """How features of the reversed hop follow: ``sign x[source] + x[added] - x[taken]``."""

    source: Tensor
    sign: Tensor
    extreme: Tensor
    added: Tensor
    taken: Tensor


def reversed_features(features: Tensor) -> Tensor:
    """Features of a band (:func:`linegraph.band_features.band_features`) whose images go back.

    Args:
        features: ``[..., F]``, columns as in :data:`linegraph.band_features.BAND_FEATURES`.

    Returns:
        ``[..., F]``: those of images 0 and 4, 1 and 3, and of both polyhedra change places,
        differences of the ends their sign. Reversed again they are the first ones, to rounding.
    """
    rule = _Rule(*(part.to(features.device) for part in _rule()))
    back = features[..., rule.source] * rule.sign.to(features.dtype)
    # A bottleneck is measured from where the hop begins.
    shift = features[..., rule.added] - features[..., rule.taken]
    back[..., rule.extreme] = back[..., rule.extreme] + shift
    return back


@cache
def _rule() -> _Rule:
    place = {name: i for i, name in enumerate(BAND_FEATURES)}
    last = IMAGES - 1
    source, sign, extreme, added, taken = [], [], [], [], []
    for i, name in enumerate(BAND_FEATURES):
        quantity, _, where = name.rpartition(", ")
        of = i
        if where.startswith("image "):
            of = place[f"{quantity}, image {last - int(where.removeprefix('image '))}"]
        elif where == "bottleneck":
            extreme.append(i)
            added.append(place[f"{quantity}, image 0"])
            taken.append(place[f"{quantity}, image {last}"])
        else:
            for end, other in (("ini", "fin"), ("fin", "ini")):
                if (twin := name.replace(end, other)) != name and twin in place:
                    of = place[twin]
                    break
        source.append(of)
        sign.append(-1.0 if where == "ends" else 1.0)
    # Kept for good: made in inference mode, they would be of no use where gradients are asked for.
    with torch.inference_mode(False):
        return _Rule(
            torch.tensor(source),
            torch.tensor(sign),
            torch.tensor(extreme),
            torch.tensor(added),
            torch.tensor(taken),
        )
