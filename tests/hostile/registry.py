"""All readers."""

from __future__ import annotations

from . import checkpoints, judged, recipes, resumed, runs, structures, weights

READERS = (
    *weights.READERS,
    *checkpoints.READERS,
    *structures.READERS,
    *recipes.READERS,
    *runs.READERS,
    *resumed.READERS,
    *judged.READERS,
)
