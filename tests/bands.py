"""Small made-up bands, and the settings that train on them in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from linegraph.elements import Z_OF
from linegraph.structure import Cell
from training.bands import Band
from training.records import write_bands

#: Recipe values under which an epoch over a dozen small bands takes a fraction of a second.
TINY = {
    "hidden": 8,
    "alignn_layers": 1,
    "conv_layers": 1,
    "embedding": 8,
    "head": 8,
    "epochs": 2,
    "batch_size": 3,
    "split": "random",
    "val": 0.2,
    "test": 0.2,
    "keep": "best",
}


def sizes_of(model: str, config: dict[str, int]) -> dict[str, int]:
    """Of those of a trunk and a head what the model has."""
    return {k: v for k, v in config.items() if k in ("hidden", "head") or model != "BAND-1"}


_FAMILIES = ("LAYERED", "SPINEL", "")


def rock_salt_band(
    cation: str = "Li", anion: str = "O", a: float = 4.2, jitter: int | None = None
) -> Cell:
    """Two rock-salt cubes with one cation hopping into a vacancy: 5 images and 14 other atoms.

    Args:
        cation: the migrating element, and every host cation.
        anion: the other element.
        a: edge of the cube, Å.
        jitter: seed of small displacements; none keeps all symmetry.
    """
    corner = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    cubes = np.concatenate([corner, corner + [1, 0, 0]]) / [2, 1, 1]
    anions = np.concatenate([corner + [0.5, 0, 0], corner + [1.5, 0, 0]]) / [2, 1, 1]
    start, end = cubes[0], cubes[1]
    images = start + np.linspace(0, 1, 5)[:, None] * (end - start)
    frac = np.concatenate([images, cubes[2:], anions])
    if jitter is not None:
        frac = frac + np.random.default_rng(jitter).normal(scale=0.01, size=frac.shape)
    numbers = [Z_OF[cation]] * (5 + len(cubes) - 2) + [Z_OF[anion]] * len(anions)
    return Cell(np.diag([2 * a, a, a]), frac, numbers)


def some_bands(count: int = 12, per_system: int = 2) -> list[Band]:
    """Bands of several ions, sizes and classes; ``per_system`` of each compound in a row."""
    bands = []
    for i in range(count):
        compound = i // per_system
        cation = ("Li", "Na", "Mg")[compound % 3]
        anion = ("O", "S")[compound % 2]
        cell = rock_salt_band(cation, anion, 4.0 + 0.1 * compound, jitter=i)
        system = f"{cation}{anion}x{compound}"
        target = 0.2 + 0.2 * compound + 0.02 * (i % per_system)
        bands.append(Band(f"{system}_{i}", cell, target, system, _FAMILIES[compound % 3]))
    return bands


def data_file(path: Path, count: int = 12, per_system: int = 2) -> Path:
    """:func:`some_bands` as a file."""
    write_bands(path, some_bands(count, per_system))
    return path


def settings(**changes: object) -> list[str]:
    """:data:`TINY` with changes, as words of the command line."""
    words: list[str] = []
    for key, value in {**TINY, **changes}.items():
        words += ["--set", f"{key}={'null' if value is None else str(value)}"]
    return words
