"""A thousand generated structures through the command ``screen``: memory stays flat."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

ROOT = Path(__file__).resolve().parents[2]
STATM = Path("/proc/self/statm")

COUNT, EARLY = 1000, 200

#: Every so manieth file is none that can be used.
BAD = 50

#: Space group, lattice, places of the sites, and what may be on each; the first is the ion.
PROTOTYPES = {
    "rocksalt": (
        "Fm-3m", Lattice.cubic(5.1), [[0, 0, 0], [0.5, 0.5, 0.5]],
        [("Li", "Na", "K"), ("F", "Cl", "Br", "I")],
    ),
    "antifluorite": (
        "Fm-3m", Lattice.cubic(5.2), [[0.25, 0.25, 0.25], [0, 0, 0]],
        [("Li", "Na", "K"), ("O", "S", "Se", "Te")],
    ),
    "antiperovskite": (
        "Pm-3m", Lattice.cubic(4.0), [[0, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 0]],
        [("Li", "Na"), ("O", "S"), ("F", "Cl", "Br", "I")],
    ),
    "layered": (
        "R-3m", Lattice.hexagonal(2.85, 14.1), [[0, 0, 0], [0, 0, 0.5], [0, 0, 0.24]],
        [("Li", "Na"), ("Ti", "V", "Cr", "Mn", "Co", "Ni"), ("O", "S")],
    ),
    "spinel": (
        "Fd-3m", Lattice.cubic(8.2), [[0, 0, 0], [0.625] * 3, [0.3873] * 3],
        [("Li", "Mg", "Zn"), ("Ti", "Mn", "Cr", "V"), ("O", "S")],
    ),
    "zincblende": (
        "F-43m", Lattice.cubic(5.6), [[0, 0, 0], [0.25, 0.25, 0.25]],
        [("Li", "Na", "Mg", "Zn"), ("Cl", "Br", "S", "Se")],
    ),
}  # fmt: skip

#: Elements that stand for the sites of a prototype.
SITES = ("H", "He", "Ne")

WRONG = {
    "junk": "no crystal\n",
    "no_ion": "Cu O\n1\n4 0 0\n0 4 0\n0 0 4\nCu O\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n",
    "two_ions": "Li Na O\n1\n4 0 0\n0 4 0\n0 0 4\nLi Na O\n1 1 1\ndirect\n"
    "0 0 0\n0.5 0.5 0\n0.5 0.5 0.5\n",
}


def generate(folder: Path, count: int) -> set[str]:
    """Write structure files, no two the same. Returns the names of those that are to fail."""
    chance = random.Random(7)
    folder.mkdir()
    made = {
        name: Structure.from_spacegroup(
            group, lattice, SITES[: len(places)], places
        ).get_primitive_structure()
        for name, (group, lattice, places, _) in PROTOTYPES.items()
    }
    wrong = set()
    for number in range(count):
        if number % BAD == BAD // 2:
            kind = list(WRONG)[number // BAD % len(WRONG)]
            file = folder / f"{number:04d}_{kind}.POSCAR"
            file.write_text(WRONG[kind])
            wrong.add(file.name)
            continue
        name = chance.choice(list(PROTOTYPES))
        elements = [chance.choice(among) for among in PROTOTYPES[name][3]]
        stretch = np.eye(3) * chance.uniform(0.97, 1.12)
        if chance.random() < 0.5:
            stretch[2, 2] *= chance.uniform(0.97, 1.03)
        crystal = made[name].copy()
        crystal.lattice = Lattice(crystal.lattice.matrix @ stretch)
        crystal.replace_species(dict(zip(SITES, elements, strict=False)))
        crystal.to(filename=str(folder / f"{number:04d}_{name}.cif"))
    return wrong


def memory(process: int) -> int:
    """Resident memory of a process, bytes; 0 if it has ended."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="memory is read from /proc")
def test_memory_is_flat_and_nothing_lost(tmp_path: Path) -> None:
    wrong = generate(tmp_path / "crystals", COUNT)
    names = {file.name for file in (tmp_path / "crystals").iterdir()}
    assert len(names) == COUNT
    out, log = tmp_path / "run", tmp_path / "log"
    words = ["screen", tmp_path / "crystals", "--workers", "1", "--device", "cpu", "--out", out]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, ROOT / "cli.py", *map(str, words)], stdout=stream, stderr=stream
        )
    early = late = done = 0
    while process.poll() is None:
        time.sleep(0.2)
        now = memory(process.pid)
        done = sum(1 for _ in (out / "structures").glob("[!.]*.json"))
        if done <= EARLY:
            early = now
        elif now and done < COUNT:
            late = now
    text = log.read_text()
    assert process.returncode == 0, text
    print(f"{text}memory {early / 2**20:.0f} MiB at {EARLY}, {late / 2**20:.0f} MiB at the end")
    assert 0 < late < 1.1 * early
    tables = []
    for table in ("ranking.csv", "failures.csv"):
        with (out / table).open() as stream:
            tables.append([row["file"] for row in csv.DictReader(stream)])
    ranked, failed = tables
    assert set(failed) == wrong
    assert sorted(ranked + failed) == sorted(names)
