"""Structures in a row become one band."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from linegraph.elements import Z_OF
from linegraph.errors import InputError
from linegraph.structure import Cell
from tests.bands import rock_salt_band
from training.bands import check_band
from training.read import read_bands
from training.structures import read_given
from training.trajectories import band_of_images

#: Where the migrating ion stands among the atoms: not first, and not first of its element.
ION = 3


def images_of(band: Cell, count: int = 5, wrap: bool = False) -> list[Cell]:
    """Whole structures along the path of a band, at even steps; the host breathes a little."""
    path = np.stack(
        [np.interp(np.linspace(0, 4, count), range(5), axis) for axis in band.frac[:5].T], axis=1
    )
    made = []
    for number, place in enumerate(path):
        host = band.frac[5:] + 0.002 * np.sin(number) * np.ones(3)
        frac = np.insert(host, ION, place, axis=0)
        numbers = np.insert(band.numbers[5:], ION, band.numbers[0])
        made.append(Cell(band.lattice, frac % 1.0 if wrap else frac, numbers))
    return made


def named(images: list[Cell]) -> list[tuple[str, Cell]]:
    return [(f"image {number}", cell) for number, cell in enumerate(images)]


def write_frames(path: Path, images: list[Cell], pbc: bool = True) -> None:
    from ase import Atoms
    from ase.io import write

    frames = [
        Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.frac, pbc=pbc)
        for cell in images
    ]
    write(path, frames, format="traj" if path.suffix == ".traj" else "extxyz")


def test_five_images_stay_as_they_are() -> None:
    band = rock_salt_band(jitter=1)
    made = band_of_images(named(images_of(band)))
    np.testing.assert_allclose(made.frac, band.frac, atol=1e-12)
    assert made.numbers.tolist() == band.numbers.tolist()
    check_band(made)


@pytest.mark.parametrize("count", [3, 4, 7, 9])
def test_other_numbers_are_resampled_evenly(count: int) -> None:
    band = rock_salt_band()
    made = band_of_images(named(images_of(band, count)))
    np.testing.assert_allclose(made.frac, band.frac, atol=1e-12)


def test_resampling_goes_by_length_along_the_bends() -> None:
    # Seven images round a corner: 1 Å + 1 Å along x, 0.5 Å four times along y; 4 Å in all.
    places = [(0, 0), (1, 0), (2, 0), (2, 0.5), (2, 1), (2, 1.5), (2, 2)]
    host = [[5.0, 5.0, 5.0]]
    images = [Cell(10 * np.eye(3), np.array([[x, y, 0], *host]) / 10, [3, 8]) for x, y in places]
    made = band_of_images(named(images))
    expected = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 1, 0], [2, 2, 0]]
    np.testing.assert_allclose(made.cart[:5], expected, atol=1e-12)


def test_resampling_goes_by_length_in_a_cell_of_unequal_edges() -> None:
    # The same corner, where 1 Å is a tenth of one edge and a twentieth of the other.
    places = [(0, 0), (1, 0), (2, 0), (2, 0.5), (2, 1), (2, 1.5), (2, 2)]
    lattice = np.diag([10.0, 20.0, 10.0])
    cart = [np.array([[x, y, 0], [5, 10, 5]]) for x, y in places]
    images = [Cell(lattice, one / np.diag(lattice), [3, 8]) for one in cart]
    expected = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 1, 0], [2, 2, 0]]
    np.testing.assert_allclose(band_of_images(named(images)).cart[:5], expected, atol=1e-12)


@pytest.mark.parametrize("count", [3, 5, 7])
def test_a_path_across_a_face_is_unwrapped(count: int) -> None:
    band = rock_salt_band(jitter=1)
    moved = Cell(band.lattice, band.frac + [0.9, 0.7, 0.45], band.numbers)
    steps = np.diff(band_of_images(named(images_of(moved, count, wrap=True))).cart[:5], axis=0)
    straight = np.diff(band_of_images(named(images_of(moved, count))).cart[:5], axis=0)
    np.testing.assert_allclose(steps, straight, atol=1e-9)
    assert np.linalg.norm(steps, axis=1).max() < 1.5


def test_the_shortest_way_holds_in_a_skew_cell() -> None:
    # Rounding each fractional component alone would take this hop for 7.0 Å; it is 4.0 Å.
    lattice = np.array([[6.0, 0, 0], [2.9, 5.0, 0], [2.9, 1.5, 5.0]])
    hop = np.array([0.49, 0.49, 0.49])
    ways = [hop - s for s in np.ndindex(2, 2, 2)]
    shortest = min(np.linalg.norm(way @ lattice) for way in ways)
    assert shortest < np.linalg.norm(hop @ lattice) - 1
    places = [np.zeros(3), hop, min(ways, key=lambda w: np.linalg.norm(w @ lattice)) * 1.1]
    images = [Cell(lattice, np.array([p, np.array([0.5, 0.5, 0.2])]), [3, 8]) for p in places]
    made = band_of_images(named(images))
    assert np.linalg.norm(made.cart[4] - made.cart[0]) == pytest.approx(1.1 * shortest)


@pytest.mark.parametrize("image", [0, 2, 4])
@pytest.mark.parametrize("atoms", [(ION, 0), (1, 2), (7, 8)])
def test_an_image_in_another_order_is_named(image: int, atoms: tuple[int, int]) -> None:
    """The ion and another, two others, and two of the anions."""
    images = images_of(rock_salt_band(), wrap=True)
    i, j = atoms
    assert images[0].numbers[i] == images[0].numbers[j]
    images[image].frac[[i, j]] = images[image].frac[[j, i]]
    with pytest.raises(InputError) as caught:
        band_of_images(named(images))
    before = max(0, image - 1)
    element = "O" if i > ION else "Li"
    assert str(caught.value) == (
        f"field coords: image {before} and image {before + 1} have their atoms of {element} in "
        f"another order (atoms {min(atoms)}, {max(atoms)} change places); all images need the same "
        "order"
    )


def test_ions_that_push_one_another_are_in_order() -> None:
    """Two ions in a row, each going on to where the next one was, in three large steps."""
    places = [[[0, 0, 0], [2, 0, 0]], [[1, 0, 0], [3, 0, 0]], [[2, 0, 0], [4, 0, 0]]]
    cells = [Cell(10 * np.eye(3), np.array([*ions, [5, 5, 5]]) / 10, [3, 3, 8]) for ions in places]
    with pytest.raises(InputError, match="which ion migrates"):
        band_of_images(named(cells))


def test_two_atoms_that_move_are_both_named() -> None:
    images = images_of(rock_salt_band())
    for number, image in enumerate(images):
        image.frac[7] += [0.0, 0.15 * number, 0.0]
    with pytest.raises(InputError) as caught:
        band_of_images(named(images))
    assert "which ion migrates?" in caught.value.problem
    assert "atom 3 (Li) moves 2.97 Å" in caught.value.problem
    assert "atom 7 (O) 2.51 Å" in caught.value.problem


def test_a_host_that_gives_way_is_no_second_ion() -> None:
    images = images_of(rock_salt_band())
    for number, image in enumerate(images):
        image.frac[7] += [0.0, 0.08 * number, 0.0]  # 1.34 Å, less than half of the hop
    np.testing.assert_allclose(
        band_of_images(named(images)).frac, rock_salt_band().frac, atol=1e-12
    )


def bad_images() -> dict[str, tuple[list[Cell], str]]:
    def change(number: int, cell: Cell) -> list[Cell]:
        images = images_of(rock_salt_band())
        images[number] = cell
        return images

    good = images_of(rock_salt_band())
    fewer = good[2].without([0])
    order = Cell(good[2].lattice, good[2].frac[::-1], good[2].numbers[::-1])
    stretched = Cell(good[4].lattice + np.diag([0, 0.2, 0]), good[4].frac, good[4].numbers)
    near = Cell(good[0].lattice, good[0].frac + 0.001, good[0].numbers)
    crowded = [
        Cell(c.lattice, [*c.frac.tolist(), c.frac[0].tolist()], [*c.numbers.tolist(), 8])
        for c in good
    ]
    return {
        "atoms": (change(2, fewer), "image 2 has 14 atoms, but image 0 15"),
        "order": (change(2, order), "atom 0 is O in image 2, but Li in image 0"),
        "cell": (change(4, stretched), "cells of image 0 and image 4 differ by 0.20 Å"),
        "two": (good[:2], "3 images or more, found 2"),
        "still": ([good[0], near, good[0]], "no atom hops"),
        "several bands": (good + good, "in image 5 the ion (atom 3) is where it was in image 0"),
        "one site": (crowded, "are on one site"),
    }


@pytest.mark.parametrize("kind", list(bad_images()))
def test_images_that_are_no_path_are_refused(kind: str) -> None:
    images, fragment = bad_images()[kind]
    with pytest.raises(InputError) as caught:
        band_of_images(named(images))
    assert fragment in caught.value.problem


@pytest.mark.parametrize(("length", "hops"), [(0.4, False), (0.6, True)])
def test_how_far_an_ion_goes_at_the_least(length: float, hops: bool) -> None:
    places = np.linspace(0, length, 5)
    images = [Cell(10 * np.eye(3), [[x / 10, 0, 0], [0.5] * 3], [3, 8]) for x in places]
    if hops:
        assert len(band_of_images(named(images))) == 6
        return
    with pytest.raises(InputError, match=r"no atom hops: atom 0 \(Li\) moves farthest, by 0.40 Å"):
        band_of_images(named(images))


def test_cells_may_differ_a_little() -> None:
    images = images_of(rock_salt_band())
    images[4] = Cell(images[4].lattice + 0.05, images[4].frac, images[4].numbers)
    assert band_of_images(named(images)).lattice.tolist() == images[0].lattice.tolist()


@pytest.mark.parametrize("ending", [".traj", ".extxyz", ".xyz"])
@pytest.mark.parametrize("count", [5, 7])
def test_a_trajectory_is_one_band(tmp_path: Path, ending: str, count: int) -> None:
    pytest.importorskip("ase")
    band = rock_salt_band("Na", "S", jitter=2)
    path = tmp_path / f"NaS_2{ending}"
    images = images_of(band, count, wrap=True)
    write_frames(path, images)
    found = read_bands(path)
    (read,) = found.bands
    assert (read.name, read.system, read.target) == ("NaS_2", "NaS", None)
    assert found.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_allclose(
        read.structures[0].cart, band_of_images(named(images)).cart, atol=1e-6
    )
    assert read.structures[0].numbers[:5].tolist() == [Z_OF["Na"]] * 5

    given = read_given(path)
    assert isinstance(given, list)
    assert [one.name for one in given] == ["NaS_2"]
    with pytest.raises(InputError, match="is a trajectory"):
        read_given(path, "crystal")


def test_numbers_in_a_comment_are_no_columns(tmp_path: Path) -> None:
    pytest.importorskip("ase")
    path = tmp_path / "NaS_2.extxyz"
    write_frames(path, images_of(rock_salt_band("Na", "S", jitter=2)))
    plain = read_bands(path).bands[0].structures[0]
    text = path.read_text()
    path.write_text(text.replace("Lattice=", "config=run:20240131 Lattice="))
    np.testing.assert_array_equal(read_bands(path).bands[0].structures[0].frac, plain.frac)
    for many in ("R:10000", "R:123456789"):
        path.write_text(text.replace("pos:R:3", f"pos:{many}"))
        with pytest.raises(InputError, match="declares columns by the ten thousand"):
            read_bands(path)


def test_bad_trajectories_are_named(tmp_path: Path) -> None:
    pytest.importorskip("ase")
    path = tmp_path / "a.traj"
    for text in ("hello", ""):
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            read_bands(path)
        assert str(caught.value).startswith(f"{path}: cannot be read as a trajectory (")

    for count, read in ((1, read_bands), (2, read_bands), (2, read_given)):
        write_frames(path, images_of(rock_salt_band())[:count])
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: a path has 3 images or more, found {count}"

    write_frames(path, images_of(rock_salt_band()), pbc=False)
    with pytest.raises(InputError) as caught:
        read_bands(path)
    assert str(caught.value).startswith(f"{path}, record frame 0, field pbc: ")


def test_a_molecule_is_no_trajectory(tmp_path: Path) -> None:
    path = tmp_path / "water.xyz"
    path.write_text("3\n\nO 0 0 0\nH 0 0 1\nH 0 1 0\n")
    with pytest.raises(InputError, match="expected a .json or .json.gz file"):
        read_bands(path)
    with pytest.raises(InputError, match="molecules"):
        read_given(path)


def test_without_ase_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.traj"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "ase.io", None)
    with pytest.raises(InputError, match="pip install ase") as caught:
        read_bands(path)
    assert caught.value.file == path
