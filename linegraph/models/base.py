"""What every model has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


class Model(nn.Module):
    """A model that says which graphs it looks at.

    Attributes:
        views: names for :func:`linegraph.views`, in the order the model reads them.
        head: from a vector to a barrier; models of properties have ``heads`` instead.
    """

    views: tuple[str, ...]
    head: Any

    def center(self, value: float) -> None:
        """Let a model with a head start at a value instead of near zero."""
        self.head.output.bias.data.fill_(value)


def view(batch: Any, name: str) -> Any:
    """The graphs of one view; a batch that is no mapping is taken for the only view.

    Raises:
        ValueError: the batch has other views.
    """
    if not isinstance(batch, Mapping):
        return batch
    if name not in batch:
        raise ValueError(f"the model looks at {name!r}, the batch has {', '.join(batch)}")
    return batch[name]
