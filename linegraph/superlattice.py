"""Of the lattices that a crystal can be repeated with, the smallest whose vectors are long enough.

All of them are looked at, not only those of cells side by side, and told apart by lengths and
angles alone: which one it is does not depend on the cell that the crystal was described in.
"""

from __future__ import annotations

from itertools import combinations, count, permutations, product

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Å; lengths are the same within this.
_SAME = 1e-2
#: Å; a vector is this much too short before it counts as too short.
_HAIR = 1e-6
#: Cells of larger superlattices are not worth a search: a crystal has 64 cells of 6 Å³ in 8 Å.
_MOST = 1000
#: Shares by which sums over atoms are the same: first of a crystal with few digits, then of any.
_ALIKE = (1e-2, 1e-6)
#: Å; atoms so far from the middle of a path are in the way of its images ...
SEEN = 8.0
#: ... and so near to the line to one of them.
_LINE = 1.0

#: Of every pair of opposite vectors within one cell in each direction, one: ``[13, 3]``.
_STEPS = np.array([n for n in product((-1, 0, 1), repeat=3) if n > (0, 0, 0)])
#: All bases of a lattice that are made of them, ``[K, 3, 3]``.
_BASES = np.array([_STEPS[list(three)] for three in combinations(range(len(_STEPS)), 3)])
_BASES = _BASES[np.abs(np.rint(np.linalg.det(_BASES))) == 1]
#: Every vector of a lattice up to twice as long as the shortest has such coefficients in a basis of
#: shortest vectors: its heights are at least the shortest one over root 2.
_AROUND = np.array([n for n in product(range(-2, 3), repeat=3) if any(n)])


def reduced(lattice: FloatArray) -> FloatArray:
    """A basis ``[3, 3]`` of the same lattice of the shortest vectors there are, the shortest first.

    I. Semaev, Cryptography and Lattices, LNCS 2146, 181 (2001): each vector is taken as near to the
    plane of the shorter ones as it gets, until nothing changes.
    """
    basis = lattice
    while True:
        basis = basis[np.argsort(np.linalg.norm(basis, axis=1), kind="stable")]
        for k in (1, 2):
            shorter = basis[:k]
            nearest = np.rint(basis[k] @ np.linalg.pinv(shorter))
            around = np.array(list(product((-1, 0, 1), repeat=k)))
            choices = basis[k] - (nearest + around) @ shorter
            lengths = np.linalg.norm(choices, axis=1)
            if lengths.min() < np.linalg.norm(basis[k]) * (1 - 1e-9):
                basis = np.concatenate([shorter, choices[[lengths.argmin()]], basis[k + 1 :]])
                break
        else:
            return basis


def superlattices(lattice: FloatArray, width: float) -> FloatArray:
    """The smallest superlattices without a vector below a width, ``[K, 3, 3]``, reduced.

    Of those of the fewest cells, the ones whose shortest vector is the longest; of these, the ones
    most like a cube, whose three shortest vectors have the least sum of squares. What is left is
    the same by symmetry of the lattice, or nearly so.

    No lattice has a cell smaller than its shortest vector cubed over root 2 (that of the
    face-centred cubic lattice, C. F. Gauss, 1831): the search begins there. It ends at once where
    the lattice itself will do, and at so many cells side by side at the latest.

    Args:
        lattice: ``[3, 3]`` rows in Å, of the primitive cell.
        width: Å.
    """
    basis = reduced(lattice)[::-1]
    volume = abs(float(np.linalg.det(basis)))
    least = max(1, int(np.ceil((width - _HAIR) ** 3 / np.sqrt(2) / volume - 1e-9)))
    short = _within(basis, width - _HAIR)
    for index in count(least):
        if index > _MOST:
            side: FloatArray = np.ceil((width - _HAIR) / np.linalg.norm(basis[2])) * basis[::-1]
            return side[None]
        found = _without(short, index)
        if len(found):
            break
    longest = _within(basis, float(np.cbrt(np.sqrt(2) * index * volume)) + _SAME)
    length = np.linalg.norm(longest @ basis, axis=1)
    coefficients = longest @ np.linalg.inv(found)
    there = (np.abs(coefficients - np.rint(coefficients)) < 1e-6).all(axis=2)
    shortest = np.where(there, length, np.inf).min(axis=1)
    found = found[shortest > shortest.max() - _SAME]
    bases = np.array([reduced(hermite @ basis) for hermite in found])
    edge = np.sqrt((bases**2).sum(axis=(1, 2)) / 3)
    cubic: FloatArray = bases[edge < edge.min() + _SAME]
    return cubic


def emptiest(
    lattices: FloatArray, path: FloatArray, gone: FloatArray, host: FloatArray, weight: FloatArray
) -> FloatArray:
    """The superlattice in which an ion on its path is the farthest from its periodic images.

    What is repeated with the ion are the vacancies. Of lattices in which all of these are as far
    away, it is the one with the least matter between the middle of the path and its images.

    Args:
        lattices: ``[K, 3, 3]`` rows in Å, each reduced.
        path: ``[M, 3]`` places of the ion, Cartesian, Å, as are
        gone: ``[R, 3]`` the sites that are vacant,
        host: ``[N, 3]`` and the atoms of the crystal around the middle of the path (:data:`SEEN`).
        weight: ``[N]`` of each atom, the same for those of a kind.

    Returns:
        One of the lattices. Those left are the same for the path by symmetry of the crystal.
    """
    vectors = _AROUND @ lattices
    length = np.linalg.norm(vectors, axis=2)
    # Smoothly to zero at the distance up to which all vectors are there.
    share = np.maximum(0.0, 1 - (length / (2 * length.min())) ** 2) ** 2
    apart = (path[:, None] - gone).reshape(-1, 3)
    squares = ((vectors[:, :, None] - apart) ** 2).sum(axis=3)
    near = (share * ((1 + squares) ** -3).sum(axis=2)).sum(axis=1)

    out = host - path.mean(axis=0)
    squares = (out**2).sum(axis=1)
    along = (vectors / length[:, :, None]) @ out.T
    atoms = weight * np.maximum(0.0, 1 - squares / SEEN**2) ** 2
    matter = np.exp((along**2 - squares) / _LINE**2) @ atoms
    between = (share * matter).sum(axis=1)

    left = np.arange(len(lattices))
    for alike in _ALIKE:
        for value in (near, between):
            left = left[value[left] <= value[left].min() * (1 + alike)]
    best: FloatArray = lattices[left[0]]
    return best


def squarest(lattice: FloatArray, like: FloatArray) -> FloatArray:
    """The basis of a lattice whose opposite faces are farthest apart, right-handed.

    Of the bases of shortest vectors, the one whose largest face is the smallest. Of several, the
    one whose vectors point most nearly along those of another lattice.

    Args:
        lattice: ``[3, 3]`` rows in Å, reduced.
        like: ``[3, 3]``; which vector comes first, and its sign, are as in this one where possible.
    """
    bases = _BASES @ lattice
    edge = np.sqrt((bases**2).sum(axis=(1, 2)) / 3)
    bases = bases[edge < edge.min() + _SAME]
    face = np.linalg.norm(np.cross(bases[:, [1, 2, 0]], bases[:, [2, 0, 1]]), axis=2).max(axis=1)
    bases = bases[face < face.min() * (1 + 1e-6)]
    ordered = np.concatenate([bases[:, list(order)] for order in permutations(range(3))])
    cosine = np.einsum("kij,ij->ki", ordered, like) / np.linalg.norm(ordered, axis=2)
    cosine = cosine / np.linalg.norm(like, axis=1)
    # Rounded, so that the last digits do not decide.
    best = int(np.abs(cosine).sum(axis=1).round(6).argmax())
    basis: FloatArray = ordered[best] * np.where(cosine[best] < -1e-6, -1, 1)[:, None]
    right: FloatArray = basis if np.linalg.det(basis) > 0 else -basis
    return right


def around(lattice: FloatArray, frac: FloatArray, place: FloatArray, reach: float) -> IntArray:
    """Atoms of a crystal near a place: rows ``(atom, *cell)``, ``[K, 4]``.

    Args:
        lattice: ``[3, 3]`` rows in Å.
        frac: ``[N, 3]`` fractional coordinates, in or outside of the cell.
        place: ``[3]``, fractional as well.
        reach: Å.
    """
    home = -np.rint(frac - place).astype(np.int64)
    most = np.floor(reach * np.linalg.norm(np.linalg.inv(lattice), axis=0) + 0.5).astype(int)
    cells = home[:, None] + np.array(list(product(*(range(-m, m + 1) for m in most))))
    apart = np.linalg.norm((frac[:, None] + cells - place) @ lattice, axis=2)
    atom, cell = np.nonzero(apart <= reach)
    return np.column_stack([atom, cells[atom, cell]])


def _within(basis: FloatArray, radius: float) -> IntArray:
    """Coefficients ``[S, 3]`` of the vectors below a length, one of every opposite two."""
    most = np.floor(radius * np.linalg.norm(np.linalg.inv(basis), axis=0)).astype(int)
    ranges = (np.arange(-m, m + 1) for m in most)
    every = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    # The middle one is zero, and those before it are the opposites of those after it.
    every = every[len(every) // 2 + 1 :]
    below: IntArray = every[np.linalg.norm(every @ basis, axis=1) < radius]
    return below


def _without(short: IntArray, index: int) -> FloatArray:
    """Superlattices of an index without some vectors, as Hermite normal forms ``[K, 3, 3]``.

    A form has the rows ``(a, b, c)``, ``(0, d, e)``, ``(0, 0, f)``. All ``e`` of one ``d`` and
    ``f``, and all ``b`` and ``c``, are looked at together, ``index * f`` of them for each layer of
    vectors: some milliseconds for an index of 100.
    """
    layer, y, z = short.T
    found = []
    divisors = [a for a in range(1, index + 1) if index % a == 0]
    for a, d in product(divisors, repeat=2):
        if index % (a * d):
            continue
        f = index // (a * d)
        e = np.arange(f)[:, None]
        flat = layer == 0
        hit = (y[flat] % d == 0) & ((z[flat] - y[flat] // d * e) % f == 0)
        e = e[~hit.any(axis=1)]
        free = np.ones((len(e), d, f), dtype=bool)
        rows = np.arange(len(e))[:, None]
        for k in range(1, layer.max(initial=0) // a + 1):
            # A vector of this layer is there if it is k times (b, c), up to (d, e) and (0, f).
            at = layer == k * a
            taken = np.zeros_like(free)
            taken[rows, y[at] % d, (z[at] - y[at] // d * e) % f] = True
            b = k * np.arange(d)[:, None]
            c = (k * np.arange(f) - b // d * e[:, None]) % f
            free &= ~taken[rows[:, None], b % d, c]
        row, b, c = np.nonzero(free)
        forms = np.zeros((len(row), 3, 3))
        forms[:, 0] = np.column_stack([np.full_like(b, a), b, c])
        forms[:, 1, 1], forms[:, 1, 2], forms[:, 2, 2] = d, e[row, 0], f
        found.append(forms)
    return np.concatenate(found)
