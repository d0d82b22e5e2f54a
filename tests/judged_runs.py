"""Run folders of models that only pretend: the target and some noise, judged for real."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tests.bands import rock_salt_band
from training.bands import Band
from training.data import load_bands
from training.judge import Answer, judge
from training.protocols import Part, Protocol, parts_of
from training.records import write_bands
from training.runs import Source, write_config

#: A name that must not do anything on a page.
SCRIPT = "<script>alert('&')</script>"

FOLDS = Protocol(folds=3)


def hops(count: int = 30) -> list[Band]:
    """Two paths each in ``count / 2`` compounds of three ions, sizes and classes.

    Barriers rise with the hop length; the first compound's name is a script, and the last record
    has a barrier above 5 eV.
    """
    random = np.random.default_rng(1)
    found = []
    for i in range(count):
        compound = i // 2
        ion = ("Li", "Na", "Mg")[compound % 3]
        edge = 3.8 + 0.1 * compound
        system = SCRIPT if compound == 0 else f"{ion}O{compound}"
        target = 0.3 * (compound % 5) + 0.1 * edge + 0.2 * random.random()
        cell = rock_salt_band(ion, ("O", "S")[compound % 2], edge, jitter=i)
        family = ("LAYERED", "SPINEL", "OLIVINE")[compound % 3]
        last = i == count - 1
        found.append(Band(f"{system}_{i % 2 + 1}", cell, 6.5 if last else target, system, family))
    return found


def hops_file(path: Path, bands: list[Band] | None = None) -> Path:
    """Those, or other bands, as a file."""
    write_bands(path, bands or hops())
    return path


def pretend(
    folder: Path,
    data: Path,
    protocol: Protocol = FOLDS,
    *,
    noise: float = 0.1,
    std: bool = False,
    seed: int = 0,
    settings: Mapping[str, object] | None = None,
) -> Path:
    """A run folder of a model whose predictions are off by normal noise.

    Args:
        folder: to make.
        data: the bands.
        protocol: to judge by.
        noise: its standard deviation, eV.
        std: predictions carry it.
        seed: of splits and noise.
        settings: what is written down as settings.
    """
    bands = load_bands(data)
    random = np.random.default_rng(seed + 1000)
    parts = parts_of(bands, protocol, seed=seed, val=0.1, test=0.2)

    def answer(_: Path, part: Part) -> dict[str, Answer]:
        single = not part.label
        found = {}
        for name in ("train", "val", "test") if single else ("test",):
            positions = getattr(part.split, name)
            truth = np.array([bands.bands[p].target for p in positions], dtype=float)
            said = truth + random.normal(scale=noise, size=len(truth))
            found[name] = Answer(said.tolist(), [noise] * len(truth) if std else None)
        return found

    folder.mkdir(parents=True)
    source = Source(bands.path, bands.fingerprint, bands.bands, bands.skipped)
    told = {"model": "MODEL-3", "val": 0.1, "seed": seed, **(settings or {})}
    more = {"recipe": "small", "protocol": protocol.as_dict()}
    write_config(folder, told, source, more)
    # Nobody looks at its plots, and they take most of the time.
    with patch("training.report.parity_plot"):
        judge(folder, "pretend", bands, parts, answer)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def written(path: Path, *lines: str) -> Path:
    """A file of lines."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def quoted(name: str) -> str:
    """As a cell of a CSV file."""
    return '"' + name.replace('"', '""') + '"'
