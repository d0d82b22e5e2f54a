"""Structures as no crystal is, and archives that are larger than they look, made by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Make = Callable[[Path], Path]

#: Fractional coordinates of a band in rock salt, and its elements.
_BAND = [[0.0, 0.0, i / 8] for i in range(5)] + [[0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]]
_ELEMENTS = ["Li"] * 5 + ["O"] * 3


def _text(name: str, text: str) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_text(text, "utf-8")
        return path

    return make


def cif(
    lengths: Sequence[object] = (5.0, 5.0, 5.0),
    angles: Sequence[object] = (90, 90, 90),
    sites: Sequence[Sequence[object]] = (("Li", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)),
    operations: Sequence[str] = ("x, y, z",),
) -> str:
    """The text of a CIF."""
    lines = ["data_x"]
    lines += [f"_cell_length_{n} {v}" for n, v in zip("abc", lengths, strict=True)]
    names = ("alpha", "beta", "gamma")
    lines += [f"_cell_angle_{n} {v}" for n, v in zip(names, angles, strict=True)]
    lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{one}'" for one in operations)]
    lines += ["loop_", "_atom_site_type_symbol", "_atom_site_label"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
    for number, (element, *place) in enumerate(sites):
        lines.append(" ".join(map(str, (element, f"{element}{number}", *place))))
    return "\n".join(lines) + "\n"


def _many(count: int, spread: float) -> list[tuple[object, ...]]:
    places = np.random.default_rng(1).normal(0.5, spread, (count, 3)).tolist()
    return [("Li", *place) for place in places]


def _shifts(count: int) -> list[str]:
    return [f"x+{i}/{count}, y, z" for i in range(count)]


def _cell(value: object) -> Make:
    return _text("a.cif", cif((value, 5.0, 5.0)))


CIF: dict[str, Make] = {
    "untouched": _text("a.cif", cif()),
    **{f"cell of {value}": _cell(value) for value in ("1e-9", "1e-3", "0.01", "0.2", "1e5", "1e9",
       "1e308", "nan", "inf", "-5", "0", "5(9)", "?", ".", "5.0.0", "0x5", "1e999")},
    "needle": _text("a.cif", cif((0.001, 0.001, 1e9))),
    "thread": _text("a.cif", cif((0.5, 0.5, 1e6))),
    "sheet": _text("a.cif", cif((0.2, 900.0, 900.0))),
    "all tiny": _text("a.cif", cif((0.1, 0.1, 0.1))),
    "all large": _text("a.cif", cif((1e9, 1e9, 1e9))),
    "angles of 0": _text("a.cif", cif(angles=(0, 0, 0))),
    "angles of 180": _text("a.cif", cif(angles=(180, 180, 180))),
    "angles of 120": _text("a.cif", cif(angles=(120, 120, 120))),
    "angles of 1": _text("a.cif", cif(angles=(1, 1, 1))),
    "angles of 0.01": _text("a.cif", cif(angles=(90, 90, 0.01))),
    "angles of NaN": _text("a.cif", cif(angles=("nan", 90, 90))),
    **{
        f"coordinate of {value}": _text("a.cif", cif(sites=[("Li", value, 0, 0), ("O", 0.5, 0, 0)]))
        for value in ("1e300", "1e16", "1e9", "-1e6", "nan", "inf", "?", "1e", "0.1(2", "1/3")
    },
    **{
        f"element {name[:20]}": _text("a.cif", cif(sites=[(name, 0, 0, 0)]))
        for name in ("Xx", "X", "D", "Li1+", "0", "Uuo", "Og", "'Li O'", "Va", "x" * 5000)
    },
    "5,000 atoms on one point": _text("a.cif", cif(sites=_many(5000, 0.0))),
    "1,000 atoms on one point": _text("a.cif", cif(sites=_many(1000, 0.0))),
    "300 atoms on one point": _text("a.cif", cif(sites=_many(300, 0.0))),
    "20,000 atoms in a tiny cell": _text("a.cif", cif((3, 3, 3), sites=_many(20_000, 0.3))),
    "5,000 atoms in a drop": _text("a.cif", cif((500, 500, 500), sites=_many(5000, 0.001))),
    "2 operations": _text("a.cif", cif(operations=_shifts(2))),
    "3,000 operations": _text("a.cif", cif(operations=_shifts(3000))),
    "30,000 operations": _text("a.cif", cif(operations=_shifts(30_000))),
    "an operation that is code": _text(
        "a.cif", cif(operations=["x, y, z", "__import__('os').system('touch evil'), y, z"])
    ),
    "an operation that explodes": _text("a.cif", cif(operations=["x, y, z", "9**9**9**9, y, z"])),
    "an operation without sense": _text("a.cif", cif(operations=["x, y, z", "q, , 1/0"])),
    "no operations": _text("a.cif", cif(operations=[])),
    "a loop of 200,000 names": _text("a.cif", "data_x\nloop_\n" + "_a\n" * 200_000),
    "200,000 blocks": _text("a.cif", "data_x\n" * 200_000),
    "a text field without end": _text("a.cif", cif() + ";\n" + "x\n" * 200_000),
    "quotes": _text("a.cif", cif() + "_a " + "'" * 50_000),
    "one line of 2 MB": _text("a.cif", cif() + "_a " + "x" * 2_000_000),
    "spaces": _text("a.cif", cif() + " " * 2_000_000),
}  # fmt: skip


def _poscar(counts: str, lattice: str = "5 0 0\n0 5 0\n0 0 5", scale: str = "1.0") -> str:
    return f"x\n{scale}\n{lattice}\nLi Cl\n{counts}\ndirect\n0 0 0\n0.5 0.5 0.5\n"


POSCAR: dict[str, Make] = {
    "untouched": _text("POSCAR", _poscar("1 1")),
    **{
        f"counts {counts[:20]}": _text("POSCAR", _poscar(counts))
        for counts in ("1000000 1", "1000000000 1", "999999999999 1", "-1 1", "0 0", "1e9 1",
                       "1.5 1", "nan 1", "9" * 5000, "1 1 1 1", "")
    },
    **{
        f"scale {scale}": _text("POSCAR", _poscar("1 1", scale=scale))
        for scale in ("0", "-1", "-1e300", "1e300", "nan", "1e-9", "1e9", "1 1 1", "1 2", "inf")
    },
    "singular": _text("POSCAR", _poscar("1 1", "5 0 0\n5 0 0\n0 0 5")),
    "left-handed": _text("POSCAR", _poscar("1 1", "0 5 0\n5 0 0\n0 0 5")),
    "NaN": _text("POSCAR", _poscar("1 1", "nan 0 0\n0 5 0\n0 0 5")),
    "without elements": _text("POSCAR", _poscar("1 1").replace("Li Cl\n", "")),
    "200,000 elements": _text("POSCAR", _poscar("1 " * 200_000).replace("Li Cl", "Li " * 200_000)),
}  # fmt: skip


def record(
    lattice: Any = ((8.0, 0, 0), (0, 5.0, 0), (0, 0, 5.0)), coords: Any = None, elements: Any = None
) -> dict[str, Any]:
    """A record in the published format."""
    atoms = {
        "lattice_mat": lattice,
        "coords": _BAND if coords is None else coords,
        "elements": _ELEMENTS if elements is None else elements,
    }
    return {"sys_name": "LiO", "target": 0.5, "atoms": atoms}


def _records(*found: Any) -> Make:
    return _text("bands.json", json.dumps(list(found)))


def _bomb(name: str, head: bytes, piece: bytes, times: int) -> Make:
    """A gzip file that inflates to a GB and more."""

    def make(folder: Path) -> Path:
        path = folder / name
        with gzip.open(path, "wb", compresslevel=9) as stream:
            stream.write(head)
            for _ in range(times):
                stream.write(piece)
        return path

    return make


def _crowd(count: int) -> Make:
    places = np.random.default_rng(2).random((count, 3)).round(4).tolist()
    return _records(record(coords=_BAND + places, elements=_ELEMENTS + ["O"] * count))


def _pile(count: int) -> Make:
    coords = _BAND + [[0.25, 0.25, 0.25 + 1e-9 * i] for i in range(count)]
    return _records(record(coords=coords, elements=_ELEMENTS + ["O"] * count))


def _scaled(factor: float) -> Make:
    lattice = [[8.0 * factor, 0, 0], [0, 5.0 * factor, 0], [0, 0, 5.0 * factor]]
    return _records(record(lattice=lattice))


_MB = b"0," * (1 << 19)

RECORDS: dict[str, Make] = {
    "untouched": _records(record()),
    **{f"cell times {factor:g}": _scaled(factor) for factor in (1e-9, 1e-2, 0.1, 1e2, 1e9, 1e150)},
    "coordinates of 1e300": _records(record(coords=[[1e300, 0, 0], *_BAND[1:]])),
    "coordinates of 1e17": _records(record(coords=[[1e17, 0, 0], *_BAND[1:]])),
    "zero volume": _records(record(lattice=[[1, 0, 0], [0, 1, 0], [0, 0, 0]])),
    "needle": _records(record(lattice=[[1e-3, 0, 0], [0, 1e-3, 0], [0, 0, 1e9]])),
    "20,000 atoms": _crowd(20_000),
    "100,000 atoms": _crowd(100_000),
    "5,000 atoms on one point": _pile(5000),
    "10^6 elements, few coordinates": _records(record(elements=["Li"] * 10**6)),
    "nested 100,000 deep": _text("bands.json", "[" * 100_000),
    "nested 900 deep": _text("bands.json", "[" * 900 + "]" * 900),
    "objects nested 500 deep": _text("bands.json", '[{"atoms":' + '{"a":' * 500 + "1" + "}" * 502),
    "a number of 10^6 digits": _text("bands.json", '[{"target": ' + "1" * 10**6 + "}]"),
    "20 MB of empty lists": _text("bands.json", "[" + "[]," * 7_000_000 + "[]]"),
    "bomb of zeros": _bomb("bands.json.gz", b"[", _MB, 2048),
    "bomb of spaces": _bomb("bands.json.gz", b"[", b" " * (1 << 20), 4096),
    "bomb of brackets": _bomb("bands.json.gz", b"", b"[" * (1 << 20), 2048),
    "small bomb (10 MB)": _bomb("bands.json.gz", b"[0", b",0" * (1 << 19), 10),
    "bomb as CIF": _bomb("a.cif.gz", b"data_x\n", b"\n" * (1 << 20), 2048),
    "bomb as POSCAR": _bomb("POSCAR.gz", b"x\n1\n", b"\n" * (1 << 20), 2048),
    "XML bomb": _text("vasprun.xml", '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "' + "x" * 1000
      + '">' + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 20}">' for i in range(9))
      + "]><modeling><a>&j;</a></modeling>"),
    "XML with a file": _text("vasprun.xml", '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a SYSTEM '
      '"file:///etc/passwd">]><modeling><a>&a;</a></modeling>'),
    "structure as YAML with a tag": _text("a.yaml", "!!python/object/apply:os.system [touch evil]"),
}  # fmt: skip


def _ulm(description: dict[str, Any], items: int = 1) -> Make:
    """A trajectory as ASE writes it (ulm): head, one frame's description, table of offsets."""

    def make(folder: Path) -> Path:
        path = folder / "a.traj"
        text = json.dumps(description).encode()
        start = 48 + 8
        with path.open("wb") as file:
            file.write(b"- of UlmASE-Trajectory  ")
            file.write(np.array([3, items, start + 8 + len(text)], np.int64).tobytes())
            file.write(b"\0" * (start - file.tell()))
            file.write(np.array([len(text)], np.int64).tobytes() + text)
            file.write(np.array([start] * min(items, 1000), np.int64).tobytes())
        return path

    return make


_FRAME = {
    "version": 1, "ase_version": "3.26.0", "pbc": [True] * 3,
    "cell": [[5, 0, 0], [0, 5, 0], [0, 0, 5]],
    "numbers.": {"ndarray": [[2], "int64", 0]}, "positions.": {"ndarray": [[2, 3], "float64", 0]},
}  # fmt: skip

TRAJECTORIES: dict[str, Make] = {
    "10^12 atoms": _ulm({**_FRAME, "numbers.": {"ndarray": [[10**12], "int64", 0]}}),
    "10^9 atoms": _ulm({**_FRAME, "numbers.": {"ndarray": [[10**9], "int64", 0]}}),
    "negative shape": _ulm({**_FRAME, "numbers.": {"ndarray": [[-1], "int64", 0]}}),
    "objects": _ulm({**_FRAME, "numbers.": {"ndarray": [[2], "object", 0]}}),
    "pickled objects": _ulm({**_FRAME, "numbers.": {"ndarray": [[2], "O", 0]}}),
    "10^9 frames": _ulm(_FRAME, 10**9),
    "10^15 frames": _ulm(_FRAME, 10**15),
    "array of 10^10": _ulm({**_FRAME, "info": {"a": {"__ndarray__": [[10**10], "int8", [0]]}}}),
    "array of 10^9": _ulm({**_FRAME, "info": {"a": {"__ndarray__": [[10**9], "int8", [0]]}}}),
    "an object of ASE": _ulm({**_FRAME, "info": {"__ase_objtype__": "atoms", "numbers": [1]}}),
    "a constraint": _ulm({**_FRAME, "constraints": '[{"name": "os.system", "kwargs": {"c": 1}}]'}),
    "extxyz of 10^9 atoms": _text("a.extxyz", '1000000000\nLattice="5 0 0 0 5 0 0 0 5"\nLi 0 0\n'),
    "extxyz of -1 atoms": _text("a.extxyz", '-1\nLattice="5 0 0 0 5 0 0 0 5"\nLi 0 0 0\n'),
    "extxyz with 10^9 columns": _text(
        "a.extxyz", '1\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:1000000000\nLi 0\n'
    ),
    "extxyz with a long comment": _text("a.extxyz", '1\nLattice="' + "5 " * 500_000 + '"\nLi 0\n'),
    "extxyz with quotes": _text("a.extxyz", '1\nLattice="5" ' + 'a="' * 20_000 + "\nLi 0 0 0\n"),
}  # fmt: skip


def _atoms(where: str) -> str:
    return f"a cube of one atom {where}"


CUBE: dict[str, Make] = {
    _atoms(f"every {a:g} Å"): _text("a.cif", cif((a, a, a), sites=[("Li", 0, 0, 0)]))
    for a in (0.001, 0.05, 0.149, 0.16, 0.5, 50.0, 399.0, 1e4)
}
