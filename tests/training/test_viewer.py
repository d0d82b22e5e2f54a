"""The picture of a crystal and its hops: what is where, in which colour, and what it says."""

from __future__ import annotations

import builtins
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from linegraph import Cell, InputError
from linegraph.predicted import Prediction
from tests.linegraph.test_hops import cell_of
from tests.predictions import NEAREST, predicted
from training.viewer import network
from training.viewer.colors import barrier_color, element_color
from training.viewer.ladder import LEFT, MAX_HOPS, RIGHT, ladder
from training.viewer.network import network_of
from training.viewer.page import MAX_SCENES
from training.viewer.scene import figure
from training.viewer.spheres import spheres
from training.viewer.wording import choices


@pytest.fixture(scope="module")
def olivine() -> Prediction:
    return predicted(cell_of("LiFePO4"), [0.2, 1.1])


@pytest.fixture(scope="module")
def salt() -> Prediction:
    """The second hop runs through an anion."""
    return predicted(cell_of("NaCl"), [0.4, 0.3], max_length=6, outside=True)


def traces(prediction: Prediction, mode: str) -> dict[str, Any]:
    return {t.name: t for t in figure(prediction).data if t.type == mode and t.name}


def places(trace: Any) -> NDArray[np.float64]:
    return np.column_stack([trace.x, trace.y, trace.z]).astype(float)


def lines(trace: Any) -> NDArray[np.float64]:
    """``[K, 5, 3]``; each line ends with a gap."""
    rows = places(trace).reshape(-1, 6, 3)
    assert np.isnan(rows[:, 5]).all() and np.isfinite(rows[:, :5]).all()
    return rows[:, :5]


def test_atoms_on_faces_are_there_on_both_sides(salt: Prediction) -> None:
    found = network_of(salt)
    assert Counter(salt.cell.numbers[found.atoms].tolist()) == {11: 14, 17: 13}
    off = found.places - salt.cell.cart[found.atoms]
    frac = off @ np.linalg.inv(salt.cell.lattice)
    np.testing.assert_allclose(frac, np.rint(frac), atol=1e-9)
    assert len({tuple(place) for place in found.places.round(6)}) == 27
    assert found.edges.shape == (12, 2, 3)
    assert len({tuple(sorted(map(tuple, edge))) for edge in found.edges.round(6)}) == 12
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(found.edges, axis=1), axis=2), 5.64, atol=0.01
    )


def test_short_edges_are_shown_twice() -> None:
    layered = predicted(cell_of("LiCoO2"), [0.3], max_length=3)
    found = network_of(layered)
    frac = found.places @ np.linalg.inv(layered.cell.lattice)
    np.testing.assert_allclose(frac.max(axis=0), [2, 2, 1], atol=0.5)
    lithium = frac[layered.cell.numbers[found.atoms] == 3]
    assert Counter(lithium[:, 2].round(3)) == {0.0: 9, 0.333: 4, 0.667: 4, 1.0: 9}


def test_every_site_shown_has_all_its_hops(salt: Prediction) -> None:
    """Each of the four sodium sites of the cell has twelve neighbours, inside or outside."""
    (near, through) = network_of(salt).lines
    ends = np.concatenate([near[:, 0], near[:, -1]]) @ np.linalg.inv(salt.cell.lattice)
    around = Counter(map(tuple, ends.round(3) + 0.0))
    for site in salt.cell.frac[salt.cell.numbers == 11]:
        home = tuple((site - np.floor(site + 1e-6)).round(3) + 0.0)
        assert around[home] == 12
    sodium = salt.cell.frac[salt.cell.numbers == 11]
    for end in ends:
        apart = end - sodium
        assert np.abs(apart - np.rint(apart)).max(axis=1).min() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(near[:, -1] - near[:, 0], axis=1), 3.988, atol=0.01)
    np.testing.assert_allclose(
        np.linalg.norm(through[:, -1] - through[:, 0], axis=1), 5.64, atol=0.01
    )
    # No hop twice, in whatever direction.
    ways = {tuple(sorted(map(tuple, path[[0, -1]].round(3) + 0.0))) for path in near}
    assert len(ways) == len(near)


def test_hops_lead_to_the_next_cell(olivine: Prediction) -> None:
    found = network_of(olivine)
    frac = found.outside @ np.linalg.inv(olivine.cell.lattice)
    assert len(frac)
    assert ((frac < -1e-3) | (frac > 1 + 1e-3)).any(axis=1).all()
    ends = np.concatenate([path[:, k] for path in found.lines for k in (0, -1)])
    for place in found.outside:
        assert np.linalg.norm(ends - place, axis=1).min() < 1e-6


def test_empty_sites_are_shown() -> None:
    cell = cell_of("Li3OCl")
    found = predicted(cell, [0.3], "Li", max_length=2, empty_sites=[[0.25] * 3])
    assert len(network_of(found).empty) == 8
    assert "empty site" in traces(found, "mesh3d")
    assert "empty site" not in traces(predicted(cell, [0.3], max_length=3), "mesh3d")


def test_one_trace_for_each_element_and_each_hop(olivine: Prediction) -> None:
    drawn = network_of(olivine)
    hops = traces(olivine, "scatter3d")
    assert list(hops) == ["Li1-Li1-1", "Li1-Li1-2"]
    for trace, expected, barrier in zip(hops.values(), drawn.lines, (0.2, 1.1), strict=True):
        np.testing.assert_allclose(lines(trace), expected, atol=1e-5)
        assert trace.line.color == barrier_color(barrier, 0.65)
        assert trace.line.dash is None
    atoms = traces(olivine, "mesh3d")
    assert list(atoms) == ["Li", "Fe", "O", "P", "Li site in the next cell"]
    for name in ("Li", "Fe", "O", "P"):
        assert atoms[name].color == element_color(name)
    # In the middle of its sphere is the atom that the text names.
    oxygen, of = places(atoms["O"]), np.asarray(atoms["O"].customdata)
    for atom in set(of.tolist()):
        assert olivine.cell.numbers[atom] == 8
        apart = oxygen[of == atom].mean(axis=0) - olivine.cell.cart[atom]
        frac = apart @ np.linalg.inv(olivine.cell.lattice)
        assert np.abs(frac - np.rint(frac)).max() < 0.6
    assert "atom %{customdata}" in atoms["O"].hovertemplate


def test_bent_paths_are_drawn_bent() -> None:
    bent = predicted(cell_of("LiFePO4"), [0.2], idpp=True, max_length=4)
    (paths,) = network_of(bent).lines
    middle = np.linalg.norm(paths[:, 2] - (paths[:, 0] + paths[:, -1]) / 2, axis=1)
    assert middle.min() > 0.05
    np.testing.assert_allclose(middle, middle[0], atol=1e-6)


def test_what_the_text_at_a_hop_says(salt: Prediction) -> None:
    near, through = traces(salt, "scatter3d").values()
    for text in ("Na1-Na1-1", "3.989 Å, 24 per cell", "0.400 eV (90 %: 0.20 to 0.80 eV)",
                 "P(&lt; 0.65 eV) 42 %", "* unlike the training records", "other &amp; more",
                 "&lt;b&gt;known&lt;/b&gt;"):  # fmt: skip
        assert text in near.hovertemplate
    assert NEAREST[0] not in near.hovertemplate
    assert "! passes an atom at 0.00 Å" in through.hovertemplate
    assert "!" not in near.hovertemplate
    assert (near.line.dash, through.line.dash) == (None, "dash")
    bare = traces(predicted(salt.cell, [0.4], calibrated=False), "scatter3d")["Na1-Na1-1"]
    assert "0.400 eV" in bare.hovertemplate
    assert "P(" not in bare.hovertemplate and "*" not in bare.hovertemplate


def test_buttons_pick_out_what_percolates(olivine: Prediction) -> None:
    assert [(c.text, c.where, c.barrier) for c in choices(olivine)] == [
        ("all hops", "", float("inf")),
        ("1D from 0.2 eV", "along b", 0.2),
        ("2D from 1.1 eV", "along b and c", 1.1),
        ("3D never", "", None),
    ]
    drawn = figure(olivine)
    numbers = [i for i, trace in enumerate(drawn.data) if trace.name in ("Li1-Li1-1", "Li1-Li1-2")]
    buttons = drawn.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["all hops", "1D from 0.2 eV", "2D from 1.1 eV"]
    opaque = []
    for button in buttons:
        look, of = button.args
        assert list(of) == numbers
        opaque.append([value == 1 for value in look["opacity"]])
        assert [width > 5 for width in look["line.width"]] == opaque[-1]
    assert opaque == [[True, True], [True, False], [True, True]]


def test_one_button_where_dimensions_open_together(salt: Prediction) -> None:
    assert [c.text for c in choices(salt)] == ["all hops", "1D, 2D, 3D from 0.3 eV"]
    assert [c.where for c in choices(salt)] == ["", "in all directions"]


@pytest.mark.parametrize("name", ["LiFePO4", "LiCoO2", "LiMn2O4"])
def test_the_camera_sees_it_all_and_along_no_channel(name: str) -> None:
    found = predicted(cell_of(name), [0.2, 1.1])
    scene = figure(found).layout.scene
    eye = np.array([scene.camera.eye[axis] for axis in "xyz"])
    up = np.array([scene.camera.up[axis] for axis in "xyz"])
    np.testing.assert_allclose(up @ found.cell.lattice[2], np.linalg.norm(found.cell.lattice[2]))
    if name == "LiFePO4":
        # Along b, seen from the side.
        assert abs(eye[1]) / np.linalg.norm(eye) < 0.5
    drawn = network_of(found)
    shown = np.concatenate([x.reshape(-1, 3) for x in (drawn.places, *drawn.lines, drawn.edges)])
    for axis, column in zip("xyz", shown.T, strict=True):
        low, high = scene[f"{axis}axis"].range
        assert low < column.min() and column.max() < high


def test_colours() -> None:
    assert element_color("O") == "#ff0d0d"
    # Words for true and false in YAML.
    assert element_color("N") != element_color("Y") != element_color("No")
    assert element_color("no such") == "#a0a0a0"
    assert barrier_color(1.3, 0.65) == barrier_color(9.0, 0.65) != barrier_color(1.2, 0.65)
    assert barrier_color(-1, 0.65) == barrier_color(0, 0.65)

    def brightness(barrier: float) -> int:
        color = barrier_color(barrier, 0.65)
        return sum(int(color[k : k + 2], 16) for k in (1, 3, 5))

    assert [brightness(x) for x in (0.1, 0.5, 1.0)] == sorted(
        brightness(x) for x in (0.1, 0.5, 1.0)
    )


@pytest.mark.parametrize("detail", [12, 66, 162])
def test_spheres_are_closed_and_look_outward(detail: int) -> None:
    centers = np.array([[0.0, 0, 0], [5, 0, 0]])
    mesh = spheres(centers, 2.0, detail)
    edges = np.concatenate([mesh.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    forth, back = Counter(map(tuple, edges)), Counter(map(tuple, edges[:, ::-1]))
    assert forth == back and set(forth.values()) == {1}
    a, b, c = (mesh.corners[mesh.faces[:, k]].astype(float) for k in range(3))
    volume = (a * np.cross(b, c)).sum() / 6
    assert 0.5 < volume / (2 * 4 / 3 * np.pi * 8) < 1
    distance = np.linalg.norm(mesh.corners - centers[mesh.owner], axis=1)
    np.testing.assert_allclose(distance, 2, rtol=1e-5)


def test_too_many_lines_and_atoms(olivine: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    every = olivine.cell.numbers[network_of(olivine).atoms]
    monkeypatch.setattr(network, "MAX_LINES", 15)
    monkeypatch.setattr(network, "MAX_ATOMS", 20)
    found = network_of(olivine)
    assert found.hops == (0,)
    assert (len(found.atoms), found.atoms_left_out) == (20, 19)
    # Of the host, not of what hops.
    assert (olivine.cell.numbers[found.atoms] == 3).sum() == (every == 3).sum()
    assert [t.name for t in figure(olivine).data if t.name == "Li1-Li1-2"] == []


def test_ladder(olivine: Prediction) -> None:
    drawn = ladder(olivine)
    assert [rung.name for rung in drawn.rungs] == ["1D", "2D", "3D", "Li1-Li1-1", "Li1-Li1-2"]
    assert [rung.value for rung in drawn.rungs] == ["0.200", "1.100", "never", "0.200", "1.100"]
    assert drawn.rungs[2].at is None
    # Places are linear in the barrier, and ends beyond the scale are cut there.
    ticks = {float(text): place for place, text in drawn.ticks}
    scale = (RIGHT - LEFT) / (max(ticks) - min(ticks))
    first, second = drawn.rungs[3:]
    assert first.at == pytest.approx(LEFT + 0.2 * scale, abs=0.1)
    assert first.high == pytest.approx(LEFT + 0.4 * scale, abs=0.1)
    assert (first.beyond, second.beyond, second.high) == (False, True, RIGHT)
    assert drawn.threshold[0] == pytest.approx(LEFT + 0.65 * scale, abs=0.1)
    assert drawn.left_out == 0


def test_ladder_of_many_hops_and_of_strange_numbers() -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3) / 3
    cell = Cell(9 * np.eye(3), grid + rng.uniform(-0.02, 0.02, grid.shape), [3] * 27)
    values = rng.uniform(0.1, 2, 200)
    many = predicted(cell, values.tolist(), max_length=3.5)
    assert len(many.hops) > MAX_HOPS
    drawn = ladder(many)
    shown = [rung.barrier for rung in drawn.rungs if not rung.level]
    assert shown == sorted(row.barrier.value for row in many.hops)[:MAX_HOPS]
    assert drawn.left_out == len(many.hops) - MAX_HOPS
    for value in (1e-9, 40.0, 1e200):
        strange = ladder(predicted(cell_of("NaCl"), [value]))
        assert all(LEFT <= rung.at <= RIGHT for rung in strange.rungs if rung.at is not None)


def test_numbers_in_the_docs() -> None:
    text = " ".join((Path(__file__).parents[2] / "docs" / "predict.md").read_text().split())
    for said in (
        f"edges shorter than {network.SHORT_EDGE} Å",
        f"the {MAX_HOPS} easiest hops",
        f"up to {network.MAX_LINES:,} lines and {network.MAX_ATOMS:,} atoms",
        f"about {MAX_SCENES / 1e6:.0f} MB of pictures",
        "below 15 MB",
        "more than eight pictures",
    ):
        assert said in text
    from plotly.offline import get_plotlyjs

    # What is left are the tables.
    assert MAX_SCENES + len(get_plotlyjs()) < 14.5e6


def test_without_plotly(olivine: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == "plotly":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install 'linegraph\[html\]'"):
        figure(olivine)
