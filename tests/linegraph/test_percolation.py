"""Thresholds and directions of hops that lead through the crystal."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from linegraph import InputError
from linegraph.hops import Copy, Hop, hops
from linegraph.percolation import percolation

from .. import crystals
from .test_hops import GAP, cell_of


def hop(*copies: Copy) -> Hop:
    """A hop of which only the copies matter."""
    initial, final, *_ = copies[0]
    zero = (0.0, 0.0, 0.0)
    return Hop("Li1-Li1-1", "Li", initial, final, (0, 0, 0), 1.0, zero, zero, zero, copies)


def test_olivine_along_b() -> None:
    b, c = hops(cell_of("LiFePO4"))
    one, two, three = percolation([b], [0.4])
    assert (one.barrier, one.directions) == (0.4, (((0, 1, 0),),))
    assert (two.barrier, two.directions) == (three.barrier, three.directions) == (None, ())
    assert [str(level) for level in (one, two)] == ["1D from 0.4 eV, along b", "2D never"]
    one, two, three = percolation([b, c], [0.4, 2.5])
    assert (one.barrier, two.barrier, three.barrier) == (0.4, 2.5, None)
    assert str(two) == "2D from 2.5 eV, along b and c"


def test_layered_in_the_plane() -> None:
    found = hops(cell_of("LiCoO2"), max_length=3.0)
    one, two, three = percolation(found, [0.3])
    assert one.barrier == two.barrier == 0.3
    assert one.directions == two.directions == (((1, 0, 0), (0, 1, 0)),)
    assert three.barrier is None


@pytest.mark.parametrize("name", ["LiMn2O4", "Li3OCl", "Li3Nd3Te2O12", "NaCl"])
def test_three_dimensions(name: str) -> None:
    found = hops(cell_of(name))[:1]
    assert [level.barrier for level in percolation(found, [0.5])] == [0.5] * 3
    assert str(percolation(found, [0.5])[2]) == "3D from 0.5 eV, in all directions"


def test_over_empty_sites() -> None:
    found = hops(cell_of("LiMn2O4"), empty_sites=GAP, max_length=2.0)
    assert [level.barrier for level in percolation(found, [0.6])] == [0.6] * 3


def test_empty_sites_that_no_ion_gets_to_lead_nowhere() -> None:
    """Holes of the spinel are connected among themselves; the ion has to get out of its site."""
    cell = cell_of("LiMn2O4")
    out, between = hops(cell, empty_sites=GAP, max_length=3.0)
    assert (out.empty, between.empty) == ((False, True), (True, True))
    assert all(i < len(cell) <= f for i, f, *_ in out.copies)
    for order in ((0.6, 0.4), (0.4, 0.6)):
        (expected, _, _) = percolation([out, between], order)
        assert expected.barrier == order[0]
    # As told, where the way out is not among the hops; and in a host without ions.
    ions = np.flatnonzero(cell.numbers == 3).tolist()
    assert percolation([between], [0.4], ions)[0].barrier is None
    assert [level.barrier for level in percolation([between], [0.4])] == [0.4] * 3


def test_supercells_change_nothing_but_the_directions() -> None:
    found = hops(crystals.supercell(cell_of("LiFePO4"), (1, 3, 2)))
    assert [str(level) for level in percolation(found, [0.4, 2.5])] == [
        "1D from 0.4 eV, along b",
        "2D from 2.5 eV, along b and c",
        "3D never",
    ]


def test_a_hop_that_closes_no_path() -> None:
    assert [p.barrier for p in percolation([hop((0, 1, 0, 0, 0))], [0.1])] == [None] * 3
    assert [p.barrier for p in percolation([hop((0, 1, 0, 0, 0), (1, 2, 5, 0, 0))], [0.1])] == [
        None,
        None,
        None,
    ]
    assert [p.barrier for p in percolation([], [])] == [None] * 3


def test_the_highest_step_of_a_path_counts() -> None:
    there, back = hop((0, 1, 0, 0, 0)), hop((1, 0, 1, 0, 0))
    one, *_ = percolation([there, back], [0.9, 0.2])
    assert (one.barrier, one.directions) == (0.9, (((1, 0, 0),),))


def test_networks_side_by_side() -> None:
    """Channels that never meet: two dimensions are covered, but no ion moves in both."""
    crossing = hop((0, 0, 1, 0, 0), (1, 1, 0, 1, 0), (2, 2, 0, 1, 0))
    one, two, _ = percolation([crossing], [0.3])
    assert one.directions == (((1, 0, 0),), ((0, 1, 0),))
    assert str(one) == "1D from 0.3 eV, along a or along b"
    assert two.barrier is None
    _, two, three = percolation([crossing, hop((0, 1, 0, 0, 0))], [0.3, 0.7])
    assert (two.barrier, three.barrier) == (0.7, None)


def test_directions_are_the_simplest() -> None:
    def along(*copies: Copy) -> object:
        return percolation([hop(*copies)], [1.0])[0].directions

    assert along((0, 0, 0, -4, 2)) == (((0, 2, -1),),)
    assert along((0, 0, 3, 1, 0), (0, 0, 1, 0, 0)) == (((1, 0, 0), (0, 1, 0)),)
    assert along((0, 0, 4, 1, 1), (0, 0, 1, 1, 0)) == (((1, 1, 0), (2, -1, 1)),)
    assert str(percolation([hop((0, 0, 1, -1, 0))], [1.0])[0]).endswith("along [1-10]")
    assert str(percolation([hop((0, 0, 40, -1, 0))], [1.0])[0]).endswith("along [40 -1 0]")
    assert str(percolation([hop((0, 0, 1, -40, 0))], [1.0])[0]).endswith("along [1 -40 0]")


def reachable_rank(copies: list[Copy], site: int, reach: int = 7) -> int:
    """Dimension of the periodic images of a site that a walk in the unrolled crystal gets to."""
    steps: dict[int, list[tuple[int, ...]]] = {}
    for i, j, *image in copies:
        steps.setdefault(i, []).append((j, *image))
        steps.setdefault(j, []).append((i, *(-x for x in image)))
    seen = {(site, 0, 0, 0)}
    queue = deque(seen)
    while queue:
        at, *cell = queue.popleft()
        for to, *image in steps.get(at, []):
            there = (to, *(int(x + y) for x, y in zip(cell, image, strict=True)))
            if max(map(abs, there[1:])) <= reach and there not in seen:
                seen.add(there)
                queue.append(there)
    images = np.array([cell for at, *cell in seen if at == site])
    return int(np.linalg.matrix_rank(images)) if images.any() else 0


@pytest.mark.parametrize("seed", range(30))
def test_against_walks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 5))
    copies: list[Copy] = []
    for _ in range(int(rng.integers(1, 8))):
        i, j = (int(x) for x in rng.integers(0, count, 2))
        a, b, c = (int(x) for x in rng.integers(-1, 2, 3))
        if i != j or any((a, b, c)):
            copies.append((i, j, a, b, c))
    barriers = rng.permutation(len(copies)) / 10
    levels = percolation([hop(copy) for copy in copies], barriers.tolist())
    for level in levels:
        expected = None
        for barrier in sorted(barriers):
            allowed = [c for c, height in zip(copies, barriers, strict=True) if height <= barrier]
            if max(reachable_rank(allowed, site) for site in range(count)) >= level.dimension:
                expected = barrier
                break
        assert level.barrier == expected, level.dimension
        for network in level.directions:
            assert np.linalg.matrix_rank(np.array(network)) == len(network) >= level.dimension


def test_order_of_hops_does_not_matter() -> None:
    found = hops(cell_of("Li3N"))
    barriers = np.random.default_rng(1).random(len(found)).round(1).tolist()
    expected = percolation(found, barriers)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(found))
        assert percolation([found[i] for i in order], [barriers[i] for i in order]) == expected


def test_barriers_that_cannot_be_used() -> None:
    found = hops(cell_of("LiFePO4"))
    with pytest.raises(InputError, match="field barriers: 1 barriers for 2 hops"):
        percolation(found, [0.4])
    with pytest.raises(InputError, match="field barriers: that of hop Li1-Li1-2 is NaN"):
        percolation(found, [0.4, float("nan")])


def test_empty_sites_that_join_a_network_with_an_ion_are_reached() -> None:
    """Of three empty sites along a chain, the first two are joined before the ion's joins them."""
    steps = [(0, 3, 0), (1, 2, 0), (2, 3, 0), (1, 3, 1)]
    chain = [hop((i, j, 0, 0, c)) for i, j, c in steps]
    one, *_ = percolation(chain, [0.1, 0.2, 0.3, 0.4], ions=[0])
    assert str(one) == "1D from 0.4 eV, along c"


def test_barriers_without_end_are_none() -> None:
    with pytest.raises(InputError):
        percolation([hop((0, 0, 0, 0, 1))], [float("inf")])
