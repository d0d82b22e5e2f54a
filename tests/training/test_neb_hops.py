"""Rows of a table are found for hops by what they are, not by their numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("spglib")
pytest.importorskip("pymatgen")

from linegraph.approach import room_of
from linegraph.hops import Hop, hops
from linegraph.structure import Cell
from linegraph.supercell import band_of
from tests.errors import message_of
from training.bands import Band
from training.files import write_csv
from training.neb.hops import barriers_of_hops
from training.neb.relax import Result
from training.neb.store import BARRIERS, write_tables
from training.neb.table import LENGTH, ROOM, read_neb

#: Two chains along the second axis whose hops are equally long, one of them between fluorine atoms.
CHAINS = Cell(
    np.diag([9.0, 3.0, 8.0]),
    [[0, 0, 0], [0.5, 0, 0.5], [0, 0.5, 0.25], [0.5, 0.5, 0.85]],
    [3, 3, 8, 9],
)

#: Three sites in a row, not evenly spaced.
UNEVEN = Cell(
    np.diag([9.0, 8.2, 8.0]), [[0, 0, 0], [0, 0.33, 0], [0, 0.7, 0], [0, 0.2, 0.3]], [3, 3, 3, 8]
)

Found = tuple[Sequence[Hop], Sequence[Cell]]


def found_in(cell: Cell, longest: float) -> Found:
    found = hops(cell, "Li", longest)
    return found, [band_of(cell, hop) for hop in found]


def tabulated(path: Path, found: Found, barriers: Sequence[float], *without: str) -> Path:
    """As `neb` writes it, and with columns left out."""
    columns = ["sys_name", "barrier_eV", "backward_eV", LENGTH, *ROOM]
    rows = [
        (f"X_{n}", barrier, barrier + 1, hop.length, *room_of(band))
        for n, (hop, band, barrier) in enumerate(zip(*found, barriers, strict=True), start=1)
    ]
    kept = [column for column in columns if column not in without]
    picked = [[row[columns.index(column)] for column in kept] for row in rows]
    write_csv(path, kept, picked)
    return path


def by_place(cell: Cell, found: Found, given: dict[str, float]) -> dict[tuple[float, ...], float]:
    """Barriers by the middle of the hop, wherever atoms are in the list."""
    middles = [(np.add(hop.start, hop.end) / 2) % 1 for hop in found[0]]
    places = [tuple(middle.round(4).tolist()) for middle in middles]
    return {
        place: given[hop.label]
        for place, hop in zip(places, found[0], strict=True)
        if hop.label in given
    }


def reordered(cell: Cell, order: Sequence[int]) -> Cell:
    return Cell(cell.lattice, cell.frac[list(order)], cell.numbers[list(order)])


def test_hops_of_one_length_in_another_order_of_atoms(tmp_path: Path) -> None:
    found = found_in(CHAINS, 3.1)
    assert [hop.length for hop in found[0]] == pytest.approx([3.0, 3.0])
    table = read_neb(tabulated(tmp_path / "t.csv", found, [0.2, 0.7]))
    plain = by_place(CHAINS, found, barriers_of_hops(table, "X", *found))
    assert sorted(plain.values()) == [0.2, 0.7]
    other = reordered(CHAINS, [1, 0, 3, 2])
    swapped = found_in(other, 3.1)
    given = barriers_of_hops(table, "X", *swapped)
    # The numbers are those of the other hops now.
    assert list(given.values()) == [0.7, 0.2]
    assert by_place(other, swapped, given) == plain


def test_a_hop_the_other_way_round(tmp_path: Path) -> None:
    found = found_in(UNEVEN, 2.8)
    assert len(found[0]) == 2  # 2.46 and 2.71 Å
    table = read_neb(tabulated(tmp_path / "t.csv", found, [0.2, 0.7]))
    assert list(barriers_of_hops(table, "X", *found).values()) == [0.2, 0.7]
    turned = found_in(reordered(UNEVEN, [2, 1, 0, 3]), 2.8)
    given = list(barriers_of_hops(table, "X", *turned).values())
    assert given == [1.2, 1.7]
    text = tabulated(tmp_path / "t.csv", found, [0.2, 0.7], "backward_eV")
    line = message_of(lambda: barriers_of_hops(read_neb(text), "X", *turned))
    assert line == (
        f"{text}, field backward_eV: X_1 is this hop the other way round, and there is no barrier "
        "of that in the table"
    )


@pytest.mark.parametrize(
    ("cell", "longest", "problem"),
    [
        (CHAINS, 3.1, "tell which of Li1-Li1-1, Li2-Li2-1, which are equally long, is X_1"),
        (UNEVEN, 2.8, "does not tell the direction of X_1, whose ends differ"),
    ],
)
def test_tables_that_do_not_tell(cell: Cell, longest: float, problem: str, tmp_path: Path) -> None:
    found = found_in(cell, longest)
    table = read_neb(tabulated(tmp_path / "t.csv", found, [0.2, 0.7], *ROOM))
    assert problem in message_of(lambda: barriers_of_hops(table, "X", *found))


def test_only_lengths_are_enough_where_one_hop_has_them(tmp_path: Path) -> None:
    chain = Cell(CHAINS.lattice, CHAINS.frac[[0, 2]], CHAINS.numbers[[0, 2]])
    found = found_in(chain, 3.1)
    table = read_neb(tabulated(tmp_path / "t.csv", found, [0.4], *ROOM))
    assert barriers_of_hops(table, "X", *found) == {"Li1-Li1-1": 0.4}


def test_another_crystal_of_the_same_lengths(tmp_path: Path) -> None:
    found = found_in(CHAINS, 3.1)
    table = read_neb(tabulated(tmp_path / "t.csv", found, [0.2, 0.7]))
    off = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0.05], [0, 0, 0.05]])
    moved = Cell(CHAINS.lattice, CHAINS.frac + off, CHAINS.numbers)
    line = message_of(lambda: barriers_of_hops(table, "X", *found_in(moved, 3.1)))
    assert "X_1 is a hop with other room around its path there, and Li1-Li1-1 one of" in line
    # Neither are those of another formula looked at, nor hops that the table lacks.
    assert barriers_of_hops(table, "Y", *found_in(moved, 3.1)) == {}
    first = ([found[0][1]], [found[1][1]])
    assert list(barriers_of_hops(table, "X", *first).values()) == [0.7]


@pytest.mark.parametrize(("off", "same"), [(0.001, True), (0.006, False)])
def test_how_much_another_room_may_be(off: float, same: bool, tmp_path: Path) -> None:
    """0.008 and 0.05 Å: digits of a file, and another relaxation."""
    found = found_in(CHAINS, 3.1)
    table = read_neb(tabulated(tmp_path / "t.csv", found, [0.2, 0.7]))
    moved = Cell(CHAINS.lattice, CHAINS.frac + np.outer([0, 0, 1, 1], [0, 0, off]), CHAINS.numbers)
    others = found_in(moved, 3.1)
    if same:
        assert list(barriers_of_hops(table, "X", *others).values()) == [0.2, 0.7]
    else:
        assert "with other room" in message_of(lambda: barriers_of_hops(table, "X", *others))


def test_a_number_of_another_hop_is_not_enough(tmp_path: Path) -> None:
    found = found_in(CHAINS, 3.1)
    path = tabulated(tmp_path / "t.csv", found, [0.2, 0.7])
    text = path.read_text().splitlines()
    # The only row there is fits the hop that has the other number here, and is not asked to fit.
    path.write_text("\n".join(text[:2]) + "\n")
    swapped = found_in(reordered(CHAINS, [1, 0, 3, 2]), 3.1)
    assert barriers_of_hops(read_neb(path), "X", *swapped) == {swapped[0][1].label: 0.2}
    # Without room, a name of another number is none.
    tabulated(path, found, [0.2, 0.7], *ROOM)
    path.write_text("\n".join([text[0].rsplit(",", 3)[0], "X_7,0.2,1.2,3.0"]) + "\n")
    assert barriers_of_hops(read_neb(path), "X", *found) == {}
    path.write_text("\n".join([text[0].rsplit(",", 3)[0], "X_1,0.2,1.2,3.2"]) + "\n")
    line = message_of(lambda: barriers_of_hops(read_neb(path), "X", *found))
    assert "X_1 is a hop of 3.200 Å there, and Li1-Li1-1 one of 3.000 Å here" in line


def test_two_rows_for_one_hop(tmp_path: Path) -> None:
    found = found_in(CHAINS, 3.1)
    one = ([found[0][0]] * 3, [found[1][0]] * 3)
    table = read_neb(tabulated(tmp_path / "t.csv", one, [0.1, 0.2, 0.3]))
    own = barriers_of_hops(table, "X", [found[0][0]], [found[1][0]])
    assert list(own.values()) == [0.1]
    lines = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    left = read_neb(tmp_path / "t.csv")
    line = message_of(lambda: barriers_of_hops(left, "X", [found[0][0]], [found[1][0]]))
    assert "X_2 and X_3 may all be the hop Li1-Li1-1: predict the bands" in line


def test_a_run_writes_what_tells_hops_apart(tmp_path: Path) -> None:
    found = found_in(UNEVEN, 2.8)
    bands = [Band(f"X_{n}", band, system="X") for n, band in enumerate(found[1], start=1)]
    results = {
        band.name: Result(band.name, energies=[0, 0.1, 0.5, 0.2, 0.1], converged=True)
        for band in bands
    }
    assert {LENGTH, *ROOM} < set(BARRIERS)
    write_tables(tmp_path, "title", bands, results, "lj", "1")
    table = read_neb(tmp_path)
    assert [*table.rooms] == ["X_1", "X_2"]
    for band in bands:
        assert table.rooms[band.name] == pytest.approx(room_of(band.structures[0]), abs=1e-5)
    assert table.backward == {"X_1": pytest.approx(0.4), "X_2": pytest.approx(0.4)}
    assert list(barriers_of_hops(table, "X", *found).values()) == [0.5, 0.5]


def test_room_at_both_ends_and_between() -> None:
    """A path along a line, with atoms at known distances."""
    images = [[0, 0.1 + 0.05 * n, 0.5] for n in range(5)]
    host = [[0.2, 0.1, 0.5], [0, 0.2, 0.6], [0, 0.3, 0.35]]
    room = room_of(Cell(10 * np.eye(3), [*images, *host], [3] * 5 + [8, 9, 8]))
    assert room == pytest.approx((np.sqrt(2), 1.0, np.sqrt(2)))
    # An atom beside the middle of a step, and further than 5 Å from all images.
    far = [[0, 0, 0], [0, 0.15, 0], [0, 0.3, 0], [0, 0.45, 0], [0, 0.6, 0], [0.245, 0.225, 0]]
    beside = room_of(Cell(20 * np.eye(3), far, [3] * 5 + [8]))
    assert beside == pytest.approx((5.0, 4.9, 5.0))
    alone = room_of(Cell(20 * np.eye(3), [*images, [0.5, 0.5, 0]], [3] * 5 + [8]))
    assert alone == (5.0, 5.0, 5.0)
