"""What a CIF says does not vanish: elements, occupancies, symmetry, composition."""

from __future__ import annotations

import gzip
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from linegraph import Cell, InputError
from linegraph.cif import explicit_cif
from linegraph.elements import SYMBOLS
from linegraph.reading import as_cell
from linegraph.spacegroups import settings_by_name

pytest.importorskip("pymatgen", reason="reads CIF")

OPERATIONS = """loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
'-x, -y, -z'
'-x+1/2, -y, z+1/2'
'x+1/2, y, -z+1/2'
'x+1/2, -y+1/2, -z+1/2'
'-x+1/2, y+1/2, z+1/2'
'-x, y+1/2, -z'
'x, -y+1/2, z'"""

#: LiFePO4 in Pnma: symbol, place, occupancy, multiplicity.
SITES = """Li 0 0 0 1 4
Fe 0.2178 0.75 0.4747 1 4
P 0.0949 0.25 0.4182 1 4
O 0.1656 0.0465 0.2848 1 8
O 0.0429 0.75 0.706 1 4
O 0.0968 0.25 0.7428 1 4"""
OLIVINE = {"Li": 4, "Fe": 4, "P": 4, "O": 16}

#: LiMn2O4 with the origin at a tetrahedron (choice 1) and at a centre of inversion (choice 2).
SPINEL_1 = "Li 0 0 0 1 8\nMn 0.625 0.625 0.625 1 16\nO 0.3882 0.3882 0.3882 1 32"
SPINEL_2 = "Li 0.125 0.125 0.125 1 8\nMn 0.5 0.5 0.5 1 16\nO 0.2632 0.2632 0.2632 1 32"
SPINEL = {"Li": 8, "Mn": 16, "O": 32}


def cif(
    head: str = OPERATIONS,
    sites: str = SITES,
    formula: str = "",
    lengths: tuple[float, float, float] = (10.332, 6.01, 4.692),
    columns: str = "type_symbol fract_x fract_y fract_z occupancy symmetry_multiplicity",
) -> str:
    lines = ["data_x", *(f"_cell_length_{a} {v}" for a, v in zip("abc", lengths, strict=True))]
    lines += [f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")]
    lines += [f"_chemical_formula_sum '{formula}'"] if formula else []
    lines += [head, "loop_", *(f"_atom_site_{one}" for one in columns.split())]
    return "\n".join([*lines, sites, ""])


def cubic(head: str, sites: str, formula: str = "") -> str:
    return cif(head, sites, formula, (8.2455,) * 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.cif"


def cell_of(path: Path, text: str) -> Cell:
    path.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is read says nothing that nobody looks at
        return as_cell(path)


def atoms_of(path: Path, text: str) -> dict[str, int]:
    return dict(Counter(SYMBOLS[z - 1] for z in cell_of(path, text).numbers))


def problem_of(path: Path, text: str) -> str:
    with pytest.raises(InputError) as error:
        cell_of(path, text)
    assert error.value.file == path
    return error.value.problem


def all_atoms(path: Path) -> str:
    """The sites of the whole cell."""
    cell = cell_of(path, cif())
    rows = zip(cell.numbers, cell.frac.tolist(), strict=True)
    return "\n".join(f"{SYMBOLS[z - 1]} {x!r} {y!r} {w!r} 1 1" for z, (x, y, w) in rows)


def test_olivine_by_its_operations(path: Path) -> None:
    assert atoms_of(path, cif(formula="Li4 Fe4 P4 O16")) == OLIVINE


@pytest.mark.parametrize("element", ["7Li", "57Fe", "18O"])
@pytest.mark.parametrize("listed", [True, False])
def test_isotopes_are_their_elements(path: Path, element: str, listed: bool) -> None:
    letters = element.strip("0123456789")
    plain = cif("", all_atoms(path)) if listed else cif()
    text = re.sub(rf"(?m)^{letters} ", f"{element} ", plain, count=1)
    assert element in text
    ours, theirs = cell_of(path, text), cell_of(path, plain)
    np.testing.assert_array_equal(ours.numbers, theirs.numbers)
    np.testing.assert_array_equal(ours.frac, theirs.frac)


@pytest.mark.parametrize("symbol", ["Xx", "X", "Ph", "OH", "Wat", "FeNi", "Fe0.5Mn0.5", "?", "0Q"])
@pytest.mark.parametrize("head", [OPERATIONS, ""])
def test_unknown_elements_are_refused(path: Path, symbol: str, head: str) -> None:
    text = cif(head, SITES.replace("P ", f"{symbol} ").replace(" 8\n", " 1\n").replace(" 4", " 1"))
    assert problem_of(path, text) == f"atom 2: unknown element {symbol!r}"


@pytest.mark.parametrize("symbol", ["Fe2+", "Fe+2", "FE", "fe", "Fe2.5+", "Fe_pv"])
def test_symbols_may_be_charged_or_in_capitals(path: Path, symbol: str) -> None:
    assert atoms_of(path, cif(sites=SITES.replace("Fe ", f"{symbol} "))) == OLIVINE


@pytest.mark.parametrize(
    ("label", "element"),
    [("Li1", "Li"), ("LI1", "Li"), ("7Li1", "Li"), ("NA1", "Na"), ("OW1", "O"), ("OH1", "O"),
     ("Ow", "O"), ("Oa", "O"), ("D2", "H"), ("Fe1A", "Fe"), ("Wat1", None), ("Vac1", None),
     ("T1", None), ("M1", None), ("Du1", None)],
)  # fmt: skip
@pytest.mark.parametrize("head", [OPERATIONS, "_symmetry_Int_Tables_number 1"])
def test_labels(path: Path, label: str, element: str | None, head: str) -> None:
    """Without symbols of elements the labels have to do, which go on with anything."""
    text = cif(head, f"{label} 0.1 0.2 0.3", columns="label fract_x fract_y fract_z")
    if element is None:
        assert problem_of(path, text) == f"atom 0: unknown element {label!r}"
    else:
        assert set(atoms_of(path, text)) == {element}


@pytest.mark.parametrize("head", [OPERATIONS, "_space_group_IT_number 1"])
@pytest.mark.parametrize(
    ("occupancy", "problem"),
    [("0", "atom 2 has occupancy 0"), ("0.0(1)", "atom 2 has occupancy 0"),
     ("0.97", "atom 2 is partially occupied"), ("1.05", "atom 2 is partially occupied")],
)  # fmt: skip
def test_occupancies(path: Path, head: str, occupancy: str, problem: str) -> None:
    text = cif(head, SITES.replace("0.4182 1", f"0.4182 {occupancy}"))
    assert problem_of(path, text) == problem


@pytest.mark.parametrize("occupancy", [".", "?", "1.", "1.0", "1.00(2)"])
def test_full_occupancies(path: Path, occupancy: str) -> None:
    assert atoms_of(path, cif(sites=SITES.replace("0.4182 1", f"0.4182 {occupancy}"))) == OLIVINE


@pytest.mark.parametrize("head", [OPERATIONS, "_space_group_IT_number 1"])
@pytest.mark.parametrize("value", ["?", "."])
def test_unknown_coordinates_are_not_zero(path: Path, head: str, value: str) -> None:
    text = cif(head, SITES.replace("0.4182", value))
    assert problem_of(path, text).startswith("cannot be read as CIF (")


def test_hydrogens_without_places_are_refused(path: Path) -> None:
    columns = "type_symbol fract_x fract_y fract_z occupancy attached_hydrogens"
    none, some = (SITES.replace(" 8", " 0").replace(" 4", f" {n}") for n in (0, 2))
    assert atoms_of(path, cif(sites=none, columns=columns)) == OLIVINE
    text = cif(sites=some, columns=columns)
    assert problem_of(path, text) == "atom 0 has hydrogens without coordinates"


@pytest.mark.parametrize(
    "head",
    [
        "_space_group_name_Hall '-P 2ac 2n'",
        "_symmetry_space_group_name_Hall '-P 2ac 2n'",
        "_symmetry_space_group_name_Hall -P_2ac_2n",
        "_space_group_name_H-M_full 'P 21/n 21/m 21/a'",
        "_space_group_name_H-M_alt 'P n m a'",
        "_symmetry_space_group_name_H-M Pnma",
        "_space_group_IT_number 62",
        "_space_group_IT_number 62\n_space_group_name_Hall ?",
        OPERATIONS.replace("_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz"),
    ],
)
def test_ways_to_say_the_operations(path: Path, head: str) -> None:
    named, listed = cell_of(path, cif(head)), cell_of(path, cif())
    np.testing.assert_array_equal(named.numbers, listed.numbers)
    order = [np.lexsort(np.round(cell.frac, 6).T) for cell in (named, listed)]
    np.testing.assert_allclose(named.frac[order[0]], listed.frac[order[1]], atol=1e-12)
    assert explicit_cif(path) is None


@pytest.mark.parametrize(("origin", "sites"), [("1", SPINEL_1), ("2", SPINEL_2)])
def test_choices_of_origin(path: Path, origin: str, sites: str) -> None:
    """Hall symbols and marks of the choice tell the origins apart."""
    hall = {"1": "F 4d 2 3 -1d", "2": "-F 4vw 2vw 3"}[origin]
    letter = {"1": "S", "2": "Z"}[origin]
    other = SPINEL_2 if origin == "1" else SPINEL_1
    for head in (
        f"_space_group_name_Hall '{hall}'",
        f"_symmetry_space_group_name_H-M 'F d -3 m :{origin}'",
        f"_symmetry_space_group_name_H-M 'F d -3 m {letter}'",
    ):
        assert atoms_of(path, cubic(head, sites)) == SPINEL
        text = cubic(head, other, "Li8 Mn16 O32")
        assert "but its _chemical_formula_sum is 'Li8 Mn16 O32'" in problem_of(path, text)
        assert "other multiplicities of its sites" in problem_of(path, cubic(head, other))


@pytest.mark.parametrize("sites", [SPINEL_1, SPINEL_2])
@pytest.mark.parametrize(
    "head", ["_symmetry_space_group_name_H-M 'F d -3 m'", "_space_group_IT_number 227"]
)
def test_the_atoms_tell_the_origin(path: Path, head: str, sites: str) -> None:
    """By the multiplicities, or the formula: in the other setting there are 16 Li and 8 Mn."""
    assert atoms_of(path, cubic(head, sites)) == SPINEL
    once = re.sub(r"(?m) \d+$", " 1", sites)
    assert atoms_of(path, cubic(head, once, "Li Mn2 O4")) == SPINEL
    assert atoms_of(path, cubic(head, once, "Li2 Mn O4")) == {"Li": 16, "Mn": 8, "O": 32}
    assert "formula_sum is 'Li Mn O2'" in problem_of(path, cubic(head, once, "Li Mn O2"))


def test_a_formula_alone_may_not_tell_the_origin(path: Path) -> None:
    """Silicon as diamond, or on the corners of the tetrahedra of a pyrochlore."""
    head = "_symmetry_space_group_name_H-M 'F d -3 m'"
    assert "in 2 of the group's settings" in problem_of(path, cubic(head, "Si 0 0 0 1 1", "Si"))
    for units in (8, 16):
        text = cubic(f"{head}\n_cell_formula_units_Z {units}", "Si 0 0 0 1 1", "Si")
        assert atoms_of(path, text) == {"Si": units}
    # 0.3 Å off the centre of inversion: in one of the settings there are pairs that are too near.
    assert atoms_of(path, cubic(head, "Si 0.02 0.02 0.02 1 1", "Si")) == {"Si": 32}


def test_a_setting_in_which_two_sites_are_one_is_none(path: Path) -> None:
    """The centre of inversion is in the middle between both sites, or at the origin."""
    text = cubic("_symmetry_space_group_name_H-M 'F d -3 m'", "Si .05 .05 .05 1 1\nO .2 .2 .2 1 1")
    assert atoms_of(path, text) == {"Si": 32, "O": 32}
    assert "cannot be read as CIF" in problem_of(path, text.replace("F d -3 m", "F d -3 m :1"))


@pytest.mark.parametrize(
    "head", ["_symmetry_space_group_name_H-M 'R -3 m'", "_space_group_IT_number 166"]
)
def test_the_cell_tells_hexagonal_from_rhombohedral_axes(path: Path, head: str) -> None:
    text = cif(head, "Li 0 0 0 1 1", "Li", (3.0, 3.0, 3.0))
    angles = text.replace(" 90", " 65")
    assert atoms_of(path, angles) == {"Li": 1}
    hexagonal = text.replace("gamma 90", "gamma 120").replace("length_c 3.0", "length_c 14")
    assert atoms_of(path, hexagonal) == {"Li": 3}


def test_settings_of_a_name_differ() -> None:
    """Ccce has four in the tables, of which two are of the same operations."""
    for name, many in (("C c c e", 3), ("C m m e", 2), ("F d d d", 2), ("P n m a", 1), ("Xx", 0)):
        groups = [frozenset(operations) for operations in settings_by_name(name)]
        assert len(groups) == len(set(groups)) == many


@pytest.mark.parametrize("digits", [3, 4, 6])
def test_thirds_with_few_digits_are_on_the_axis(path: Path, digits: int) -> None:
    """Corundum-like sites on 3-fold axes; pymatgen alone makes three atoms 0.003 Å apart of one."""
    third, two = f"{1 / 3:.{digits}f}", f"{2 / 3:.{digits}f}"
    sites = f"Li {third} {two} 0.25 1 1\nO {two} {third} 0.6 1 1"
    text = cif("_symmetry_space_group_name_H-M 'P 3 m 1'", sites, "Li O", (4.7, 4.7, 5.1))
    cell = cell_of(path, text.replace("gamma 90", "gamma 120"))
    assert cell.numbers.tolist() == [3, 8]
    np.testing.assert_allclose(cell.frac, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.6]], atol=1e-9)


def test_a_hall_symbol_is_no_hermann_mauguin_name(path: Path) -> None:
    """P 2 has its axis along c as the one, along b as the other."""
    site = "Li 0.1 0.2 0.3 1 2"
    along_c = cell_of(path, cif("_space_group_name_Hall 'P 2'", site)).frac
    along_b = cell_of(path, cif("_symmetry_space_group_name_H-M 'P 2'", site)).frac
    np.testing.assert_allclose(sorted(along_c.tolist()), [[0.1, 0.2, 0.3], [0.9, 0.8, 0.3]])
    np.testing.assert_allclose(sorted(along_b.tolist()), [[0.1, 0.2, 0.3], [0.9, 0.2, 0.7]])


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("P 21/c", [0.9, 0.7, 0.2]),
        ("P 21/n", [0.4, 0.7, 0.2]),
        ("P 21/a", [0.4, 0.7, 0.7]),
        ("P 1 21/n 1", [0.4, 0.7, 0.2]),
    ],
)
def test_short_monoclinic_names(path: Path, name: str, image: list[float]) -> None:
    """They are not in the tables of pymatgen, which would take the number's standard setting."""
    head = f"_symmetry_space_group_name_H-M '{name}'\n_symmetry_Int_Tables_number 14"
    frac = cell_of(path, cif(head, "Li 0.1 0.2 0.3 1 4")).frac
    assert len(frac) == 4
    assert np.abs(frac - image).max(axis=1).min() < 1e-9


def test_a_group_that_is_not_of_the_cell(path: Path) -> None:
    sites = "Li 0 0 0 1 1"
    for name in ("P m -3 m", "R -3 m", "P 4/m m m"):
        text = cif(f"_symmetry_space_group_name_H-M '{name}'", sites)
        assert problem_of(path, text).endswith("do not fit the cell")
    assert atoms_of(path, cubic("_symmetry_space_group_name_H-M 'P m -3 m'", sites)) == {"Li": 1}


@pytest.mark.parametrize(
    "head",
    [
        "_symmetry_space_group_name_H-M 'P x y z'",
        "_space_group_name_Hall 'nonsense'",
        "_symmetry_cell_setting orthorhombic",
        "_space_group_magn.name_BNS \"P n'm'a\"",
    ],
)
def test_an_unknown_group_is_not_p1(path: Path, head: str) -> None:
    assert problem_of(path, cif(head)).startswith("lists no symmetry operations, and none are")


@pytest.mark.parametrize(
    "head",
    [
        "loop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'",
        "_symmetry_equiv_pos_as_xyz 'x,y,z'",
        "_symmetry_space_group_name_H-M 'P 1'",
        "_space_group_name_Hall 'P 1'",
        "_symmetry_Int_Tables_number 1",
        "_symmetry_cell_setting triclinic",
        "_symmetry_space_group_name_H-M ?",
        "",
    ],
)
def test_p1_is_read_as_listed(path: Path, head: str) -> None:
    sites = all_atoms(path)
    path.write_text(cif(head, sites, "Li Fe P O4"))
    cell = explicit_cif(path)
    assert cell is not None
    rows = [line.split() for line in sites.splitlines()]
    assert [SYMBOLS[z - 1] for z in cell.numbers] == [row[0] for row in rows]
    np.testing.assert_array_equal(cell.frac, [[float(x) for x in row[1:4]] for row in rows])
    np.testing.assert_array_equal(as_cell(path).frac, cell.frac)


def test_distinct_atoms_without_symmetry_are_no_crystal(path: Path) -> None:
    assert "multiplicities above 1" in problem_of(path, cif(""))
    single = SITES.replace(" 8", " 1").replace(" 4\n", " 1\n").removesuffix("4") + "1"
    text = cif("", single, "Li4 Fe4 P4 O16")
    expected = "lists Li1 Fe1 P1 O3, but its _chemical_formula_sum is 'Li4 Fe4 P4 O16'"
    assert problem_of(path, text) == expected
    assert atoms_of(path, cif("", single)) == {"Li": 1, "Fe": 1, "P": 1, "O": 3}
    salt = "Na 0 0 0 1 1\nCl 0.5 0.5 0.5 1 1"
    text = cif("_cell_formula_units_Z 4", salt, "Na Cl")
    assert "its 2 sites cannot be 4 formula units" in problem_of(path, text)


@pytest.mark.parametrize(
    "formula",
    [
        "Li Fe P O4",
        "Li1 Fe1 P1 O4",
        "Fe4 Li4 O16 P4",
        "LiFePO4",
        "Li0.25 Fe0.25 P0.25 O1",
        "Li0.14 Fe0.14 P0.14 O0.57",
        "Li0.99 Fe1 P1 O4",
        "Li1.00(1) Fe1 P1 O4",
        "Li (Fe P O4)2",
        "?",
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_formulas_that_agree_or_say_nothing(path: Path, formula: str, listed: bool) -> None:
    sites = all_atoms(path) if listed else SITES
    head = "" if listed else OPERATIONS
    assert atoms_of(path, cif(head, sites, formula)) == OLIVINE


@pytest.mark.parametrize(
    "formula", ["Li3 Fe4 P4 O16", "Li Fe P O4 H2", "Fe P O4", "Li0.9 Fe1 P1 O4", "Na4 Fe4 P4 O16"]
)
@pytest.mark.parametrize("listed", [True, False])
def test_formulas_that_differ_are_refused(path: Path, formula: str, listed: bool) -> None:
    sites = all_atoms(path) if listed else SITES
    text = cif("" if listed else OPERATIONS, sites, formula)
    problem = problem_of(path, text)
    assert repr(formula) in problem
    assert re.search(r"\b(Li4|Fe4|P4|O16) ", problem)


def test_deuterium_counts_as_hydrogen(path: Path) -> None:
    sites = "D 0.1 0.2 0.3 1 8\nO 0.3 0.4 0.1 1 8"
    for formula in ("D O", "H O", "D0.5 H0.5 O1"):
        assert atoms_of(path, cif(OPERATIONS, sites, formula)) == {"H": 8, "O": 8}


def test_the_formula_of_a_band_may_count_its_ion_once(path: Path) -> None:
    images = "".join(f"Li 0 0.{i} 0 1 1\n" for i in range(1, 6))
    sites = images + "\n".join(f"O 0.5 0.{i} 0.5 1 1" for i in range(3))
    head = "_cell_formula_units_Z 4"
    for formula in ("Li O3", "Li5 O3"):
        assert atoms_of(path, cif(head, sites, formula)) == {"Li": 5, "O": 3}
    assert "'Li2 O3'" in problem_of(path, cif(head, sites, "Li2 O3"))


def test_orders_of_site_groups_in_the_column_of_multiplicities(path: Path) -> None:
    """Older programs write how often a general position falls on the site."""
    sites = SITES.replace(" 8", " 1").replace(" 4\n", " 2\n").removesuffix("4") + "2"
    assert atoms_of(path, cif(sites=sites)) == OLIVINE
    wrong = sites.replace("Fe 0.2178 0.75 0.4747 1 2", "Fe 0.2178 0.75 0.4747 1 1")
    assert "other multiplicities" in problem_of(path, cif(sites=wrong))


def test_magnetic_cells_have_the_operations_of_their_nuclei(path: Path) -> None:
    magnetic = (
        "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n-x,-y,-z,-1\n"
        "loop_\n_space_group_symop_magn_centering.xyz\nx,y,z,+1\nx,y+1/2,z,-1"
    )
    cell = cell_of(path, cif(magnetic, "Fe 0.1 0.2 0.3 1 4"))
    found = sorted(np.round(cell.frac, 9).tolist())
    assert found == [[0.1, 0.2, 0.3], [0.1, 0.7, 0.3], [0.9, 0.3, 0.7], [0.9, 0.8, 0.7]]


@pytest.mark.parametrize(
    ("operations", "problem"),
    [
        (["-x, -y, -z"], "but not x, y, z"),
        (["x, y, z", "x, x, z"], "'x, x, z', which is no symmetry operation"),
        (["x, y, z", "hello"], "cannot be read as CIF|which is no symmetry operation"),
    ],
)
def test_operations_that_are_none(path: Path, operations: list[str], problem: str) -> None:
    head = "\n".join(["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{one}'" for one in operations)])
    assert re.search(problem, problem_of(path, cif(head)))


def test_two_blocks_with_one_name_are_two_structures(path: Path) -> None:
    assert problem_of(path, cif() + cif()) == "holds 2 structures, expected one"


@pytest.mark.parametrize("name", ["a.cif.gz", "a.mcif", "a.CIF"])
def test_other_names_of_cif_lose_nothing_either(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for element, problem in {"57Fe": None, "Xx": "atom 1: unknown element 'Xx'"}.items():
        text = cif(sites=SITES.replace("Fe", element)).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        if problem is None:
            assert Counter(as_cell(path).numbers.tolist()) == {3: 4, 26: 4, 15: 4, 8: 16}
        else:
            with pytest.raises(InputError, match=problem):
                as_cell(path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.cif", b"", "is empty"),
        ("a.cif", b" \n\n", "is empty"),
        ("POSCAR", b"", "is empty"),
        (
            "a.cif",
            cif().encode("utf-16"),
            "is no text that can be read (UTF-16?); save it as UTF-8",
        ),
        (
            "a.cif",
            b"Li\n1.0\n4 0 0\n0 4 0\n0 0 4\nLi\n1\nDirect\n0 0 0\n",
            "has no _atom_site_fract_x, and so no structure as CIF has it",
        ),
        ("a", cif().encode(), "looks like a CIF: name it .cif"),
        ("a.txt", cif().encode(), "looks like a CIF: name it .cif"),
        (
            "a.txt",
            b"hello",
            "cannot be read: its name says no known format; name it .cif, .vasp (POSCAR) or .json",
        ),
    ],
)
def test_what_is_no_structure_file(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        as_cell(path)
    assert str(error.value) == f"{path}: {problem}"


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input_is_not_read(name: str) -> None:
    with pytest.raises(InputError) as error:
        as_cell(name)
    assert str(error.value) == f"{name}: standard input is not read; give a file"


def test_old_line_ends_and_a_mark_of_byte_order(path: Path) -> None:
    text = "# by hand\n" + cif()
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r").encode())
    assert len(as_cell(path)) == 28


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("C m c a", "C m c e"),
        ("A b m 2", "A e m 2"),
        ("C c c a:2", "C c c e:2"),
        ("F d 3 m:1", "F d -3 m:1"),
        ("I m 3", "I m -3"),
    ],
)
def test_old_names_of_groups(old: str, new: str) -> None:
    (expected,) = settings_by_name(new)
    assert settings_by_name(old) == [expected]
