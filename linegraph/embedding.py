"""The vector by which a model says a barrier."""

from __future__ import annotations

from collections.abc import Sequence
from threading import get_ident
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .models import Model


def values_and_embeddings(
    member: Model, batch: Any
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """What a model says of a batch, and the vectors it says it by.

    Args:
        member: a model of barriers.
        batch: batched graphs by view, on the model's device.

    Returns:
        ``[B]`` barriers in eV and ``[B, H]`` what goes into the head.
    """
    seen: list[Tensor] = []
    asker = get_ident()

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        # The member may be asked by other threads, too, which have hooks of their own.
        if get_ident() == asker:
            seen.append(given[0])

    handle = head_of(member).register_forward_pre_hook(keep)
    try:
        with torch.inference_mode():
            values = member(batch)
    finally:
        handle.remove()
    return values.double().cpu().numpy(), seen[0].float().cpu().numpy()


def said_by_all(
    members: Sequence[Model], batch: Any
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """What several models say of a batch (:func:`values_and_embeddings`).

    Args:
        members: models of barriers.
        batch: batched graphs by view, on their device.

    Returns:
        ``[k, B]`` barriers in eV and ``[k, B, H]`` what goes into the heads.
    """
    said = [values_and_embeddings(member, batch) for member in members]
    return np.stack([values for values, _ in said]), np.stack([vectors for _, vectors in said])


def head_of(member: Model) -> nn.Module:
    """The last part of a model of barriers.

    Raises:
        ValueError: the model predicts something else.
    """
    head = getattr(member, "head", None)
    if not isinstance(head, nn.Module):
        raise ValueError(f"{type(member).__name__} predicts no barriers")
    return head


def head_width(member: Model) -> int:
    """Channels that go into the head."""
    return next(m.in_features for m in head_of(member).modules() if isinstance(m, nn.Linear))
