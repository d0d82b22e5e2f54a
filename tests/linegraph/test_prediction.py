"""From structures to barriers of hops, and to where they percolate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("spglib")
pytest.importorskip("pymatgen")

from pymatgen.core import Lattice, Molecule, Structure
from pymatgen.io.ase import AseAtomsAdaptor

import linegraph
from linegraph import Cell, Ends
from linegraph.approach import closest_approach
from linegraph.barrier import Barrier
from linegraph.devices import usable_device
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import load_ensemble
from linegraph.hops import hops
from linegraph.levels import rounded
from linegraph.percolation import percolation
from linegraph.predicted import TOO_CLOSE, Prediction
from linegraph.prediction import formula_of, predict, predict_bands
from linegraph.supercell import band_of
from linegraph.weights import save_weights

from ..bands import rock_salt_band
from ..errors import message_of
from .test_hops import GAP, cell_of, structure


class ByLength(Ensemble):
    """Says that the barrier (eV) is the length of the hop (Å) less 2, and notes what it is asked.

    Args:
        width: of the intervals to either side, eV; without one it is not calibrated.
    """

    def __init__(self, width: float | None = None) -> None:
        # The dataclass is frozen, and all it has is of no use here.
        vars(self).update(name="by length", members=(None,), width=width, asked=[])

    @property
    def records(self) -> int:
        return 7

    @property
    def calibrated(self) -> bool:
        return self.width is not None

    def predict(
        self,
        bands: Sequence[Any],
        *,
        level: float = 0.9,
        threshold: float = 0.65,
        device: str = "cpu",
        potential: Sequence[float | None] | None = None,
    ) -> list[Barrier]:
        assert potential is None
        self.asked.append((level, threshold, device))
        return [self.of(band, level, threshold) for band in bands]

    def of(self, band: Cell, level: float, threshold: float) -> Barrier:
        value = float(np.linalg.norm(band.cart[4] - band.cart[0])) - 2
        if self.width is None:
            return Barrier(value, threshold=threshold)
        ends = (value - self.width, value + self.width, level)
        return Barrier(value, *ends, float(value < threshold), threshold, value, ("A_1", "B_2"))

    width: float | None
    asked: list[tuple[float, float, str]]


class Refuses(ByLength):
    """Fails at the second band."""

    def predict(self, bands: Sequence[Any], **options: Any) -> list[Barrier]:
        raise linegraph.InputError("the prediction is nan", record=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tiny model with random weights, on graphs unlike the default ones."""
    config = {"hidden": 4, "alignn_layers": 1, "conv_layers": 1}
    model = linegraph.build_model("MODEL-4", **config)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(path, model, "MODEL-4", config, {"max_neighbors": 5})
    return path


def test_olivine_from_hops_to_percolation() -> None:
    cell = cell_of("LiFePO4")
    found = predict(cell, "Li", weights=ByLength())
    assert (found.formula, found.ion) == ("LiFePO4", "Li")
    assert [hop.hop for hop in found.hops] == hops(cell, "Li")
    assert [hop.barrier.value for hop in found.hops] == pytest.approx([1.005, 2.692])
    for row in found.hops:
        band = band_of(cell, row.hop)
        np.testing.assert_array_equal(row.band.frac, band.frac)
        assert row.approach == closest_approach(band)
    # Along b over the short hop, and by the long one along c.
    assert found.percolation == percolation(hops(cell), [row.barrier.value for row in found.hops])
    assert found.in_words() == [
        "1D from 1 eV, along b",
        "2D from 2.69 eV, along b and c",
        "3D never with these hops",
    ]


def test_intervals_of_the_percolating_barrier() -> None:
    found = predict(cell_of("LiFePO4"), weights=ByLength(0.2), level=0.8)
    assert found.intervals[2] is None
    one, two = (interval for interval in found.intervals if interval)
    assert one == pytest.approx((0.805, 1.205))
    assert two == pytest.approx((2.492, 2.892))
    assert found.in_words()[0] == (
        f"1D from 1 eV, along b; {rounded(one[0])} to {rounded(one[1])} eV if all hops are at "
        "their low or high ends"
    )


def test_ends_that_mean_nothing_are_short() -> None:
    assert [rounded(energy) for energy in (0.0, 0.125001, 99.9, 2.6e70)] == [
        "0.00", "0.13", "99.90", "3e+70",
    ]  # fmt: skip


def test_dimensions_that_open_up_together_are_said_once() -> None:
    found = predict(cell_of("LiCoO2"), weights=ByLength(), max_length=3)
    assert found.in_words() == ["2D from 0.816 eV, along a and b", "3D never with these hops"]
    found = predict(cell_of("Li3OCl"), weights=ByLength(), max_length=3)
    assert found.in_words() == ["3D from 0.765 eV, in all directions"]


def test_order_of_barriers_not_of_lengths_decides() -> None:
    class Longest(ByLength):
        def of(self, band: Cell, level: float, threshold: float) -> Barrier:
            return Barrier(5 - super().of(band, level, threshold).value)

    found = predict(cell_of("LiFePO4"), weights=Longest())
    assert str(found.percolation[0]) == "1D from 2.31 eV, along c"


def test_every_kind_of_structure_is_the_same(tmp_path: Path) -> None:
    made = structure("Li3OCl")
    made.to(filename=str(tmp_path / "a.cif"), symprec=1e-3)
    made.to(filename=str(tmp_path / "POSCAR"), fmt="poscar")
    given = [
        made, AseAtomsAdaptor.get_atoms(made), cell_of("Li3OCl"), tmp_path / "a.cif",
        str(tmp_path / "POSCAR"),
    ]  # fmt: skip
    said = [predict(one, weights=ByLength(), max_length=4) for one in given]
    for one in said[1:]:
        assert (one.formula, one.in_words()) == (said[0].formula, said[0].in_words())
        values = [[row.barrier.value for row in each.hops] for each in (one, said[0])]
        assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_what_the_hops_are_made_of_is_passed_on() -> None:
    cell = cell_of("LiMn2O4")
    over = predict(cell, weights=ByLength(), empty_sites=GAP, max_length=2)
    assert [row.hop.label for row in over.hops] == ["Li1-empty1-1"]
    small, large = (predict(cell, weights=ByLength(), min_width=w, max_length=4) for w in (6, 9))
    assert len(small.hops[0].band) < len(large.hops[0].band)
    pytest.importorskip("ase")
    bent, straight = (
        predict(cell, weights=ByLength(), idpp=idpp, max_length=5.9).hops[-1].approach
        for idpp in (True, False)
    )
    assert bent > straight


def test_a_path_through_an_atom_is_marked() -> None:
    salt = cell_of("NaCl")
    found = predict(salt, weights=ByLength(), max_length=6)
    assert [row.blocked for row in found.hops] == [row.approach < TOO_CLOSE for row in found.hops]
    assert [row.blocked for row in found.hops] == [False, True]
    assert found.clear == found.percolation
    assert len(found.in_words()) == 1

    class Fooled(ByLength):
        def of(self, band: Cell, level: float, threshold: float) -> Barrier:
            return Barrier(5 - super().of(band, level, threshold).value)

    assert predict(salt, weights=Fooled(), max_length=6).in_words() == [
        "3D from 1.36 eV, in all directions",
        "without paths that pass an atom nearer than 1 Å: 3D from 3.01 eV, in all directions",
    ]


def test_real_weights_and_their_graph_settings(weights: Path) -> None:
    cell = cell_of("Li3OCl")
    found = predict(cell, weights=weights, max_length=3)
    (row,) = found.hops
    model = load_ensemble(weights).members[0]
    graphs = linegraph.views(row.band, model.views, max_neighbors=5)
    batch = {name: batched(graph) for name, graph in graphs.items()}
    assert row.barrier.value == pytest.approx(model(batch).item(), abs=1e-5)
    assert (row.barrier.low, row.barrier.below, row.barrier.outside) == (None, None, None)
    assert (found.model.name, found.model.members, found.model.calibrated) == ("MODEL-4", 1, False)
    assert found.intervals == (None, None, None)
    assert predict_bands([row.band], weights=weights) == [row.barrier]


def batched(graph: Any) -> Any:
    from torch_geometric.data import Batch

    return Batch.from_data_list([graph])


def test_bands_and_ends_are_predicted_as_they_are(tmp_path: Path) -> None:
    config = {"hidden": 4, "alignn_layers": 1, "conv_layers": 1}
    save_weights(
        tmp_path / "model.safetensors",
        linegraph.build_model("MODEL-1-CC", **config), "MODEL-1-CC", config, {},
    )  # fmt: skip
    band = rock_salt_band(jitter=1)
    ends = Ends(band.without([1, 2, 3, 4]), band.without([0, 1, 2, 3]))
    one, other = predict_bands([band, ends], weights=tmp_path)
    assert one.value == pytest.approx(other.value, abs=1e-6)


def test_options_reach_the_weights() -> None:
    weights = ByLength(0.1)
    found = predict(cell_of("Li3OCl"), weights=weights, max_length=3, level=0.5, threshold=0.8)
    predict_bands([], weights=weights, device="cpu")
    assert weights.asked == [(0.5, 0.8, usable_device("auto")), (0.9, 0.65, "cpu")]
    assert (found.level, found.threshold, found.hops[0].barrier.below) == (0.5, 0.8, 1.0)


def test_as_dict_is_plain_json() -> None:
    found = predict(cell_of("LiFePO4"), weights=ByLength(0.25))
    said = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert said == found.as_dict()
    short, long = said["hops"]
    assert short["hop"] == "Li1-Li1-1"
    assert short["length_A"] == pytest.approx(3.005)
    assert short["high_eV"] - short["low_eV"] == pytest.approx(0.5)
    assert (short["outside"], long["outside"], long["nearest"]) == (True, True, ["A_1", "B_2"])
    assert [level["dimension"] for level in said["percolation"]] == [1, 2, 3]
    assert said["percolation"][0]["directions"] == [[[0, 1, 0]]]
    assert said["percolation"][2]["barrier_eV"] is said["percolation"][2]["low_eV"] is None
    assert said["model"] == {
        "name": "by length", "members": 1, "records": 7, "calibrated": True,
    }  # fmt: skip
    plain = predict(cell_of("LiFePO4"), weights=ByLength()).as_dict()
    assert plain["hops"][0]["low_eV"] is None
    assert isinstance(repr(found), str)


def test_formulas() -> None:
    assert formula_of(cell_of("Li3OCl")) == "Li3ClO"
    assert formula_of(Cell(np.eye(3), [[0, 0, 0]], [3])) == "Li"


def oxide(cation: Any, *, name: Path | None = None) -> Structure:
    made = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.21), [cation, "O"], [[0, 0, 0], [0.5] * 3]
    )
    if name is not None:
        made.to(filename=str(name))
    return made


def test_structures_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    def said(given: Any, **options: Any) -> str:
        return message_of(lambda: predict(given, weights=ByLength(), **options))

    path = tmp_path / "a.cif"
    oxide("Cu", name=path)
    assert said(path).startswith(f"{path}, field ion: none of the usual ones")
    oxide({"Li": 0.5, "Ni": 0.5}, name=path)
    assert said(str(path)) == f"{path}, field elements: atom 0 is partially occupied"
    assert "partially occupied" in said(oxide({"Li": 0.5, "Ni": 0.5}))
    two = Structure(Lattice.cubic(4.21), ["Li", "Na", "O"], [[0, 0, 0], [0.5, 0.5, 0], [0.5] * 3])
    assert said(two) == "field ion: may be Li or Na; name the mobile one"
    assert predict(two, "Na", weights=ByLength()).ion == "Na"
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0.8, 0.6, 0], [-0.8, 0.6, 0]])
    assert "not periodic" in said(AseAtomsAdaptor.get_atoms(water))
    assert "is no structure" in said(water)
    assert said(tmp_path / "none.cif") == f"{tmp_path / 'none.cif'}: no such file"


def test_an_error_of_the_weights_names_the_hop() -> None:
    line = message_of(lambda: predict(cell_of("LiFePO4"), weights=Refuses()))
    assert line == "record 'Li1-Li1-2': the prediction is nan"
    assert message_of(lambda: predict_bands([1, 2], weights=Refuses())).startswith("record 1")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"device": "cuda:"}, "known are"),
        ({"level": 1.0}, "field level"),
        ({"level": float("nan")}, "field level"),
        ({"threshold": 0.0}, "field threshold"),
        ({"weights": "none.safetensors"}, "none.safetensors: no such weights"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], told: str) -> None:
    options = {"weights": ByLength(), **options}
    assert told in message_of(lambda: predict(cell_of("Li3OCl"), **options))
    assert told in message_of(lambda: predict_bands([], **options))


def test_exported() -> None:
    assert linegraph.predict is predict
    assert isinstance(linegraph.predict(cell_of("LiF"), weights=ByLength()), Prediction)
