"""What surrounds each atom in its first three shells, without walking every path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from linegraph.voronoi import Facets


def shell_weights(
    facets: Facets, weight: NDArray[np.float64], kinds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weight of every kind of atom in the first three shells of every atom.

    A shell of pymatgen (``get_nn_shell_info``) is the end points of all paths of so many steps from
    neighbour to neighbour that visit no atom twice, each weighing the product of its steps. Walking
    them takes minutes in large cells. Here all paths are counted as powers of the matrix of steps,
    and what comes back is taken off: after two steps the way there and back; after three the same
    in the first or the last two steps (counted twice where both), and closed triangles.

    Args:
        facets: all facets of all ``N`` cells.
        weight: ``[M]`` weight of the step over each facet.
        kinds: ``[N]`` kind of each atom, from 0.

    Returns:
        ``[3, N, kinds]`` float64.
    """
    center, neighbor = facets.center, facets.neighbor
    atoms = len(kinds)
    kind = np.eye(int(kinds.max()) + 1)[kinds]

    def step(values: NDArray[np.float64], by: NDArray[np.float64] = weight) -> NDArray[np.float64]:
        out = np.zeros_like(values)
        np.add.at(out, center, by[:, None] * values[neighbor])
        return out

    steps = _Steps(facets, weight, atoms)
    back = steps.weight_of(neighbor, center, -facets.image)
    there_and_back = np.bincount(center, weight * back, atoms)[:, None]
    triangle = steps.triangles()[:, None]
    first = step(kind)
    second = step(first) - there_and_back * kind
    third = step(step(first))
    third -= there_and_back * first + step(there_and_back * kind)
    third += step(kind, weight * back * weight) - triangle * kind
    return np.stack([first, second, third])


class _Steps:
    """Steps from atom to atom, found by where they start and end."""

    def __init__(self, facets: Facets, weight: NDArray[np.float64], atoms: int) -> None:
        self.facets, self.weight, self.atoms = facets, weight, atoms
        # Two steps lead twice as far as one.
        self.most = 2 * int(np.abs(facets.image).max(initial=0))
        keys = self._keys(facets.center, facets.neighbor, facets.image)
        self.order = np.argsort(keys)
        self.keys = keys[self.order]

    def _keys(
        self, start: NDArray[np.int64], end: NDArray[np.int64], image: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        keys = start * self.atoms + end
        for axis in range(3):
            keys = keys * (2 * self.most + 1) + image[:, axis] + self.most
        return keys

    def weight_of(
        self, start: NDArray[np.int64], end: NDArray[np.int64], image: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Weights of the steps to the atoms ``end`` of cell ``image``; 0 where there is none."""
        keys = self._keys(start, end, image)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.weight[self.order[place]], 0.0)

    def triangles(self) -> NDArray[np.float64]:
        """Weight of all paths of three steps that end where they started, ``[N]``."""
        center, neighbor, image = self.facets.center, self.facets.neighbor, self.facets.image
        count = np.bincount(center, minlength=self.atoms)
        begin = np.cumsum(count) - count
        times = count[neighbor]
        one = np.repeat(np.arange(len(center)), times)
        within = np.arange(len(one)) - np.repeat(np.cumsum(times) - times, times)
        two = begin[neighbor[one]] + within
        close = self.weight_of(neighbor[two], center[one], -(image[one] + image[two]))
        paths = self.weight[one] * self.weight[two] * close
        total = np.zeros(self.atoms)
        np.add.at(total, center[one], paths)
        return total
