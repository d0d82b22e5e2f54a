"""What every model has in common."""

from __future__ import annotations

from torch import nn


class Model(nn.Module):
    """A model that says which graphs it looks at.

    Attributes:
        views: names for :func:`linegraph.views`, in the order the model reads them.
    """

    views: tuple[str, ...]
