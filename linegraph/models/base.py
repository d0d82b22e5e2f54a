"""What every model has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..nn.graph_input import as_data


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

    def seen(self, batch: Any) -> tuple[Any, ...]:
        """The graphs of every view, in the order of :attr:`views`.

        A batch that is no mapping is taken for the only view.

        Raises:
            ValueError: the batch has other views, or is no mapping where there are several.
        """
        if not isinstance(batch, Mapping):
            if len(self.views) > 1:
                names = " and ".join(repr(name) for name in self.views)
                raise ValueError(
                    f"the model looks at {names}, but was given one {type(batch).__name__}; give "
                    "a mapping with both (linegraph.views makes one of a band)"
                )
            return (batch,)
        for name in self.views:
            if name not in batch:
                raise ValueError(f"the model looks at {name!r}, the batch has {', '.join(batch)}")
        return tuple(as_data(batch[name]) for name in self.views)
