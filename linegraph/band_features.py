"""What a hop and its crystal are like in numbers, for a model that looks at no graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .composition import COMPOSITION_FEATURES, composition_features
from .images import IMAGES
from .path_features import PATH_FEATURES, path_features
from .structure import Cell

#: Facets of the polyhedra with a smaller share of the widest one's solid angle are left out, and
#: vertices are not counted: in symmetric crystals both hang on the last digits of the coordinates.
LEAST_FACET = 1e-4

_OF_PATH = tuple(name for name in PATH_FEATURES if not name.startswith("n_verts"))

#: Names of the features, in order.
BAND_FEATURES: tuple[str, ...] = (*_OF_PATH, *COMPOSITION_FEATURES)


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
    path = path_features(band, LEAST_FACET)
    values = np.array([*(path[name] for name in _OF_PATH), *composition_features(atoms)])
    return values.astype(np.float32)
