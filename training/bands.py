"""A band: the structure a barrier is predicted from, with its label."""

from __future__ import annotations

from dataclasses import dataclass

from linegraph.paths import IMAGES
from linegraph.structure import Cell

__all__ = ["IMAGES", "Band"]


@dataclass(frozen=True, eq=False)
class Band:
    """One hop of one ion in one host.

    Attributes:
        name: unique within its data set.
        cell: host and path in one structure; atoms 0..4 are the five images of the migrating
            ion, all of one element, from initial to final.
        target: migration barrier E_m in eV, or None where it is not known.
        system: the compound; records of one system never lie on both sides of a grouped split.
        family: material class (olivine, layered, ...), empty if unknown.
        source: where the barrier comes from, empty if unknown.
    """

    name: str
    cell: Cell
    target: float | None = None
    system: str = ""
    family: str = ""
    source: str = ""
