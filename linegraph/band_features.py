"""What a hop and its crystal are like in numbers, for a model that looks at no graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .composition import COMPOSITION_FEATURES, composition_features
from .images import IMAGES
from .path_features import PATH_FEATURES, path_features
from .structure import Cell

#: Names of the features, in order.
BAND_FEATURES: tuple[str, ...] = (*PATH_FEATURES, *COMPOSITION_FEATURES)


def band_features(band: Cell) -> NDArray[np.float32]:
    """All features of a band, ``[F]`` in the order of :data:`BAND_FEATURES`.

    Those of the path, both Voronoi polyhedra included, are in Å, steradian and valence units
    (:mod:`linegraph.path_features`); those of the composition, of the host and one ion, are class
    numbers (:mod:`linegraph.composition`).

    Args:
        band: atoms 0..4 are the images, which :func:`linegraph.paths.check_images` accepts; they
            are taken where they are, in or outside of the cell.

    Returns:
        float32; NaN where a feature does not exist. Nothing raises because of a structure.
    """
    atoms = np.delete(band.numbers, slice(1, IMAGES))
    path = path_features(band)
    values = np.array([*path.values(), *composition_features(atoms)])
    return values.astype(np.float32)
