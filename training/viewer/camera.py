"""From where a crystal is looked at, and how large."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from linegraph.predicted import Prediction

Points = NDArray[np.float64]

#: Degrees aside from the axis looked along, and above.
_ASIDE, _ABOVE = 24.0, 14.0

#: Half the height of a scene that fills a picture of plotly, in its units; measured.
_FILLS = 0.9

#: Least width of pictures, in terms of their height.
_WIDE = 1.1

#: Å around what is shown, for the size of atoms.
_AROUND = 0.5


def view(prediction: Prediction, points: Points) -> dict[str, Any]:
    """The part of a plotly scene that says how it is looked at.

    c is up, and the eye a little aside from a or b, whichever the ion moves along less. There is
    no perspective, so that parallel rows of atoms look parallel.

    Args:
        prediction: what is shown.
        points: ``[K, 3]`` all that is in the picture, Å; it fills it.
    """
    lattice = prediction.cell.lattice
    up = lattice[2] / np.linalg.norm(lattice[2])
    ways = _ways(prediction)
    fronts = [_upright(lattice[k], up) for k in (0, 1)]
    hidden = [float(np.abs(ways @ front).max(initial=0.0)) for front in fronts]
    front = fronts[int(hidden[1] < hidden[0] - 1e-6)]
    aside, above = np.radians([_ASIDE, _ABOVE])
    eye = np.cos(above) * (np.cos(aside) * front + np.sin(aside) * np.cross(up, front))
    eye = eye + np.sin(above) * up
    low, high = points.min(axis=0) - _AROUND, points.max(axis=0) + _AROUND
    # Without perspective what decides on the size is not how far the eye is but the aspect ratio.
    scale = _FILLS / _half_size(points - (low + high) / 2, eye, up)
    return {
        **{
            f"{axis}axis": {"visible": False, "range": [float(a), float(b)]}
            for axis, a, b in zip("xyz", low, high, strict=True)
        },
        "aspectmode": "manual",
        "aspectratio": _xyz(scale * (high - low)),
        "camera": {
            "eye": _xyz(2 * eye),
            "up": _xyz(up),
            "center": {"x": 0, "y": 0, "z": 0},
            "projection": {"type": "orthographic"},
        },
    }


def _ways(prediction: Prediction) -> Points:
    """Unit vectors ``[n, 3]`` along which the ion first gets through; none if it never does."""
    networks = prediction.percolation[0].directions
    if not networks or len(networks[0]) == 3:
        return np.zeros((0, 3))
    vectors: Points = np.array(networks[0]) @ prediction.cell.lattice
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _upright(vector: Points, up: Points) -> Points:
    flat = vector - (vector @ up) * up
    unit: Points = flat / np.linalg.norm(flat)
    return unit


def _half_size(apart: Points, eye: Points, up: Points) -> float:
    """Half the height that a picture of points ``[K, 3]`` around its centre needs, Å."""
    right = np.cross(eye, up)
    right /= np.linalg.norm(right)
    upward = np.cross(right, eye)
    height, width = (np.abs(apart @ axis).max() + _AROUND for axis in (upward, right))
    return float(max(height, width / _WIDE))


def _xyz(vector: Points) -> dict[str, float]:
    return dict(zip("xyz", vector.tolist(), strict=True))
