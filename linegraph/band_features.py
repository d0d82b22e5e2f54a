"""What a hop and its crystal are like in numbers, for a model that looks at no graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .composition import COMPOSITION_FEATURES, composition_features
from .images import IMAGES
from .path_features import PATH_FEATURES, path_features
from .structure import Cell

# How many vertices a facet has hangs on the last digits of coordinates in symmetric crystals, and
# the weighted mean of solid angles is 4 pi over the weighted coordination.
_LEFT_OUT = {"n_verts_ini", "n_verts_fin", "avg_ini_solid_angle", "avg_fin_solid_angle"}

_OF_PATH = tuple(name for name in PATH_FEATURES if name not in _LEFT_OUT)

#: Names of the features, in order.
BAND_FEATURES: tuple[str, ...] = (*_OF_PATH, *COMPOSITION_FEATURES)


def band_features(band: Cell) -> NDArray[np.float32]:
    """All features of a band, ``[F]`` in the order of :data:`BAND_FEATURES`.

    Those of the path, both Voronoi polyhedra included, are in Å and valence units, and smooth
    (:func:`linegraph.path_features.path_features`); those of the composition, of the host and one
    ion, are class numbers (:mod:`linegraph.composition`).

    Args:
        band: atoms 0..4 are the images, which :func:`linegraph.paths.check_images` accepts; they
            are taken where they are, in or outside of the cell.

    Returns:
        float32; NaN where a feature does not exist. Nothing raises because of a structure.
    """
    atoms = np.delete(band.numbers, slice(1, IMAGES))
    path = path_features(band, smooth=True)
    values = np.array([*(path[name] for name in _OF_PATH), *composition_features(atoms)])
    return values.astype(np.float32)
