"""The starter set: hops of well-known compounds, built from published structures.

A demonstration that needs no download, not a benchmark; see the README beside this file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..bands import Band

#: The records the set is built from.
COMPOUNDS = Path(__file__).with_name("compounds.yaml")


def starter_bands() -> list[Band]:
    """All bands of the starter set, barriers in eV, with their literature in ``source``.

    Built on the first call (a few seconds) and kept.

    Raises:
        InputError: pymatgen, which builds the crystals, is not installed.
    """
    return list(_bands())


@cache
def _bands() -> tuple[Band, ...]:
    # Imported on first use: pymatgen is slow to import, and optional.
    try:
        from .build import build_bands
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "pymatgen":
            raise
        from linegraph.errors import InputError

        raise InputError("the starter set needs pymatgen: pip install pymatgen") from None
    return tuple(build_bands(COMPOUNDS))
