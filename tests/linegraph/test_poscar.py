"""POSCARs that agree with themselves are read, others are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from linegraph import InputError
from linegraph.reading import as_cell

pytest.importorskip("pymatgen", reason="reads POSCAR")

PLACES = ("0 0 0", "0.5 0.5 0", "0.5 0 0.5", "0 0.5 0.5")


def poscar(
    names: str = "Li O",
    counts: str = "2 2",
    mode: str = "Direct",
    places: tuple[str, ...] = PLACES,
    after: str = "",
) -> str:
    head = ["a salt", "1.0", "5 0 0", "0 5.5 0", "0 0 6", *[names] * bool(names), counts, mode]
    return "\n".join([*head, *places]) + f"\n{after}"


def read(tmp_path: Path, text: str) -> list[int]:
    path = tmp_path / "POSCAR"
    path.write_text(text)
    cell = as_cell(path)
    np.testing.assert_allclose(cell.frac, [[float(x) for x in row.split()[:3]] for row in PLACES])
    return cell.numbers.tolist()


def labelled(*labels: str, between: str = " ") -> tuple[str, ...]:
    return tuple(f"{row}{between}{label}" for row, label in zip(PLACES, labels, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        poscar(),
        poscar("Li_sv O_s/79d9987ad87"),
        poscar("Li\n Li O", "1\n 1 2"),
        poscar(places=labelled("Li", "Li", "O", "O")),
        poscar(places=labelled("Li1", "Li2", "O1", "O2-")),
        poscar(places=labelled("T", "F", "a", "1")),
        poscar(places=labelled("A", "D", "X2", "Z")),
        poscar("Li O ! a salt"),
        poscar(places=labelled("Li", "Li", "O", "! oxygen")),
        poscar("", places=labelled("Li", "Li", "O", "O")),
        poscar(mode="Selective dynamics\nDirect", places=labelled(*"abcd", between=" T F F ")),
        poscar(mode="s\nd", places=labelled("Li", "Li", "O", "O", between=" F F F ")),
        poscar(after="\n0 0 0\n0 0 0\n0 0 0\n0 0 0\n"),
        poscar(after="Lattice velocities and vectors\n1\n0 0 0\n0 0 0\n0 0 0\n5 0 0\n0 5 0\n0 0 5"),
        poscar().replace("a salt", ""),
        poscar().replace("\n", "\r\n"),
    ],
)
def test_what_agrees_is_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [3, 3, 8, 8]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (poscar("Li O F"), "names 3 elements (Li O F), but has 2 counts of atoms (2 2)"),
        (poscar("Li"), "names 1 elements (Li), but has 2 counts of atoms (2 2)"),
        (poscar(places=(*PLACES, "0.1 0.2 0.3")), "counts 4 atoms, but lists the places of 5"),
        (poscar(places=(*PLACES, "0 0 0.1"), after="Lattice velocities"), "the places of 5"),
        (poscar(places=PLACES[:3]), "counts 4 atoms, but lists the places of 3"),
        (poscar(places=PLACES[:3], after="\n0 0 0\n0 0 0\n"), "but lists the places of 3"),
        (
            poscar(places=labelled("O", "O", "Li", "Li")),
            "atom 0 is Li by the names of the elements, but has the label O",
        ),
        (
            poscar(mode="S\nD", places=labelled("Li", "Li", "O", "S2", between=" T T T ")),
            "atom 3 is O by the names of the elements, but has the label S2",
        ),
        (
            poscar().replace("Direct\n", ""),
            "has a number where it is to say Direct or Cartesian ('0 0 0')",
        ),
        (poscar(counts="2 999999999"), "declares more atoms than its 12 lines can hold"),
    ],
)
def test_what_does_not_agree_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert error.value.file == tmp_path / "POSCAR"
    assert error.value.problem.endswith(problem)
