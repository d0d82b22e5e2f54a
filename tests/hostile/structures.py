"""Structures and bands: cases, and how they are read and made into graphs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from shutil import copytree
from tempfile import mkdtemp
from typing import Any

import linegraph
from linegraph.elements import SYMBOLS
from linegraph.ends import Ends
from linegraph.errors import InputError
from linegraph.reading import as_cell
from linegraph.structure import Cell
from tests.bands import some_bands
from tests.property_data import property_folder
from tests.training.test_nebfolders import write_run
from tests.training.test_trajectories import images_of, write_frames
from training.bands import Band
from training.properties import read_properties
from training.read import read_bands
from training.records import write_bands
from training.structures import read_given

from .absurd import CIF, CUBE, POSCAR, RECORDS, TRAJECTORIES
from .case import Reader
from .damage import damaged
from .documents import spoiled
from .odd import at, odd_files, odd_folders

EXAMPLE = Path(__file__).parents[2] / "examples" / "LiFePO4.cif"
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "barriers" / "train.json.gz"

#: Formats that pymatgen writes and reads, by the name of a file.
FORMATS = {"P1.cif": "cif", "POSCAR": "poscar"}

#: Those beside CIF and POSCAR.
OTHERS = {"a.json": "json", "a.cssr": "cssr", "a.xsf": "xsf", "a.res": "res"}


@cache
def original(kind: str) -> Path:
    """A real file, or folder, of a kind."""
    folder = Path(mkdtemp())
    bands = some_bands(2)
    first = bands[0].structures[0]
    if kind == "cif":
        return EXAMPLE
    if form := (FORMATS | OTHERS).get(kind):
        pymatgen(first).to(filename=str(folder / kind), fmt=form)
    elif kind == "folder":
        for band in bands:
            pymatgen(band.structures[0]).to(filename=str(folder / f"{band.name}.cif"))
        (folder / "targets.csv").write_text(
            "file,name,target_eV,system,class,source\n"
            + "".join(f"{b.name}.cif,{b.name},{b.target},{b.system},{b.family},x\n" for b in bands)
        )
        return folder
    elif kind == "NEB":
        return write_run(folder / "run", images_of(first))
    elif kind in ("a.traj", "a.extxyz"):
        write_frames(folder / kind, images_of(first))
    elif kind == "properties":
        return property_folder(folder / "set")
    return folder / kind


@cache
def records() -> list[dict[str, Any]]:
    """Two records in the published format: real ones where they are at hand."""
    if PUBLISHED.is_file():
        found = json.loads(gzip.decompress(PUBLISHED.read_bytes()))
        return sorted(found, key=lambda record: len(record["atoms"]["elements"]))[:2]
    path = Path(mkdtemp()) / "bands.json"
    write_bands(path, some_bands(2))
    found = json.loads(path.read_text())
    return list(found)


def pymatgen(cell: Cell) -> Any:
    """As pymatgen has it."""
    from pymatgen.core import Structure

    return Structure(cell.lattice, [SYMBOLS[z - 1] for z in cell.numbers], cell.frac)


def graphs(given: Cell | Ends[Cell] | list[Band]) -> None:
    """Make the graphs that models look at: of a crystal, or of bands."""
    if isinstance(given, list):
        for band in given[:2]:
            names = ("initial", "final") if isinstance(band.cell, Ends) else ("band", "local")
            _check(linegraph.views(band.cell, names))
    else:
        _check(linegraph.views(given, ("crystal",)))


def _check(views: dict[str, linegraph.CrystalGraph]) -> None:
    for graph in views.values():
        for name in ("pos", "edge_vec", "line_cos"):
            assert bool(graph[name].isfinite().all()), f"{name} is not finite"


def _reading(read: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Read and make graphs; errors of the latter name the file, as commands do."""

    def inner(path: Path) -> None:
        given = read(path)
        try:
            graphs(given)
        except InputError as error:
            raise error.at(file=path) from None

    return inner


_read_file = _reading(read_given)
_read_band_file = _reading(lambda path: read_given(path, "band"))
_read_cell = _reading(as_cell)
_read_bands = _reading(lambda path: read_bands(path).bands)
_read_skipping = _reading(lambda path: read_bands(path, skip_bad=True).bands)
_read_properties = _reading(lambda path: read_properties(path).crystals[0].cell)


def _copy(kind: str, name: str = "") -> Callable[[Path, Random], Path]:
    """A copy of a real file with damage to its bytes."""

    def make(folder: Path, random: Random) -> Path:
        source = original(kind)
        path = folder / (name or source.name)
        path.write_bytes(damaged(source.read_bytes(), random))
        return path

    return make


def _one_of(*kinds: str) -> Callable[[Path, Random], Path]:
    def make(folder: Path, random: Random) -> Path:
        return _copy(random.choice(kinds))(folder, random)

    return make


def _json(document: Callable[[], Any], name: str) -> Callable[[Path, Random], Path]:
    """A document with damage to its values, its bytes, or, compressed, to the archive."""

    def make(folder: Path, random: Random) -> Path:
        data = spoiled(document(), random)
        if random.randrange(4) == 0:
            data = damaged(json.dumps(document()).encode(), random)
        if random.randrange(3):
            path = folder / name
            path.write_bytes(data)
            return path
        archive = gzip.compress(data)
        path = folder / f"{name}.gz"
        path.write_bytes(damaged(archive, random) if random.randrange(2) else archive)
        return path

    return make


def _structure_json(folder: Path, random: Random) -> Path:
    return _json(lambda: pymatgen(some_bands(1)[0].structures[0]).as_dict(), "a.json")(
        folder, random
    )


def _folder(kind: str) -> Callable[[Path, Random], Path]:
    """A copy of a real folder, one of its files damaged (or spoiled, if it is JSON)."""

    def make(folder: Path, random: Random) -> Path:
        copy = folder / "given"
        copytree(original(kind), copy)
        file = random.choice(sorted(f for f in copy.rglob("*") if f.is_file()))
        data = file.read_bytes()
        if file.suffix == ".json" and random.randrange(3):
            file.write_bytes(spoiled(json.loads(data), random))
        elif file.suffix == ".csv" and random.randrange(2):
            file.write_bytes(data.replace(*random.choice(_CELLS)))
        else:
            file.write_bytes(damaged(data, random))
        return copy

    return make


#: Cells of ``targets.csv`` and what they become.
_CELLS = (
    (b"LiOx0_0.cif", b"../../evil.cif"), (b"LiOx0_0.cif", b"/etc/passwd"), (b"0.2", b"nan"),
    (b"0.2", b"1e999"), (b"LiOx0_0,", b"x" * 200_000 + b","), (b"LiOx0_0", b"\x1b[31mred"),
    (b"file", b"\x00"), (b",", b";"), (b"LiOx0_0.cif", b".."), (b"LiOx0_0.cif", b'"a\nb"'),
    (b"\n", b"\r"), (b"file", b"name"), (b"LiOx0_0.cif", b"LiOx0_1.cif"), (b"x\n", b'"\n'),
)  # fmt: skip


READERS = (
    Reader("CIF", "structures", _one_of("cif", "cif", "P1.cif"), _read_file, {**CIF, **CUBE}, 1.5),
    Reader("CIF as band", "structures", _one_of("P1.cif"), _read_band_file, {}, 0.7),
    Reader("POSCAR", "structures", _copy("POSCAR"), _read_file, POSCAR, 1.5),
    Reader("other formats", "structures", _one_of(*OTHERS), _read_cell, {}, 1.0),
    Reader("structure as JSON", "structures", _structure_json, _read_cell, {}, 1.0),
    Reader("records", "structures", _json(records, "bands.json"), _read_bands, RECORDS, 2.0),
    Reader("records, bad ones skipped", "structures", _json(records, "b.json"), _read_skipping, {}),
    Reader("folder of bands", "structures", _folder("folder"), _read_bands, odd_folders(), 1.0),
    Reader("NEB folder", "structures", _folder("NEB"), _read_bands, {}, 0.7),
    Reader(
        "trajectory", "structures", _one_of("a.traj", "a.traj", "a.extxyz"), _read_bands,
        TRAJECTORIES, 1.5,
    ),
    Reader("properties", "structures", _folder("properties"), _read_properties, {}, 1.0),
    Reader("odd file as crystal", "structures", _copy("cif"), _read_file, odd_files("a.cif"), 0.0),
    Reader("odd file as band", "structures", _copy("cif"), _read_band_file, odd_files("POSCAR"), 0),
    Reader("odd file as records", "structures", _json(records, "bands.json"), _read_bands,
           odd_files("bands.json") | odd_files("b.json.gz"), 0.0),
    Reader("odd file as trajectory", "structures", _copy("a.traj"), _read_bands,
           odd_files("a.traj") | odd_files("a.xyz"), 0.0),
    Reader("odd file as properties", "structures", _folder("properties"), _read_properties,
           at("set", odd_files("bulk.json") | odd_files("properties.json")), 0.0),
)  # fmt: skip
