"""What `compounds.yaml` says, read and checked field by field."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import yaml

from linegraph.errors import InputError

from .fields import Fields, Point

#: How a number was checked when it was written down.
CHECKED = ("search", "memory")
MECHANISMS = ("vacancy", "interstitial")

#: Å; the smallest distance between an image and a host atom, unless a hop declares another.
CLEARANCE = 0.5


@dataclass(frozen=True)
class Source:
    """Where a number comes from: reference, DOI ("" if none is given), how it was checked."""

    reference: str
    doi: str
    checked: str
    note: str

    def __str__(self) -> str:
        return f"{self.reference}, doi:{self.doi}" if self.doi else self.reference


@dataclass(frozen=True)
class Site:
    """One Wyckoff position; `element` is None where it is empty."""

    label: str
    element: str | None
    multiplicity: int
    xyz: Point


@dataclass(frozen=True)
class Hop:
    """One elementary jump with its published barrier in eV; ends in the conventional cell."""

    name: str
    ion: str
    mechanism: str
    from_site: str
    start: Point
    to_site: str
    end: Point
    also_vacant: tuple[Point, ...]
    clearance: float
    barrier: float
    method: str
    source: Source


@dataclass(frozen=True)
class Compound:
    """One crystal structure with its hops.

    Attributes:
        lattice: a, b, c in Å and alpha, beta, gamma in degrees of the conventional cell.
        cell: rows in the conventional basis, the cell that is repeated.
        file: where the record was read, for messages.
    """

    name: str
    family: str
    formula: str
    space_group: str
    lattice: tuple[float, ...]
    cell: tuple[Point, ...]
    sites: tuple[Site, ...]
    source: Source
    hops: tuple[Hop, ...]
    file: Path

    def site(self, label: str) -> Site:
        """The position of that label.

        Raises:
            InputError: there is none.
        """
        for site in self.sites:
            if site.label == label:
                return site
        raise InputError(f"there is no site {label!r}", file=self.file, record=self.name)


def load_compounds(path: str | PathLike[str]) -> list[Compound]:
    """Read a file like `compounds.yaml`.

    Raises:
        InputError: unreadable, or a record that is incomplete, misspelt or a duplicate; the
            message names file, compound and field.
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read ({str(error).splitlines()[0]})", file=file) from error
    if not isinstance(content, list) or not content:
        raise InputError("expected a list of compounds", file=file)
    compounds = [_compound(value, file, position) for position, value in enumerate(content)]
    names: set[str] = set()
    for compound in compounds:
        if compound.name in names:
            raise InputError("the name is used twice", file=file, record=compound.name)
        names.add(compound.name)
    return compounds


def _compound(value: object, file: Path, position: int) -> Compound:
    name = value.get("name") if isinstance(value, dict) else None
    fields = Fields(value, file, name if isinstance(name, str) else position)
    compound = Compound(
        name=fields.text("name"),
        family=fields.text("family"),
        formula=fields.text("formula"),
        space_group=fields.text("space_group"),
        lattice=fields.numbers("lattice", 6),
        cell=fields.points("cell", ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
        sites=tuple(_site(site, occupied=True) for site in fields.children("sites"))
        + tuple(_site(s, occupied=False) for s in fields.children("empty_sites", optional=True)),
        source=_source(fields.child("structure"), whole=True),
        hops=tuple(_hop(hop) for hop in fields.children("hops")),
        file=file,
    )
    fields.done()
    if min(compound.lattice) <= 0:
        raise fields.error("lengths and angles are positive", "lattice")
    _no_twins([site.label for site in compound.sites], fields, "sites")
    _no_twins([hop.name for hop in compound.hops], fields, "hops")
    return compound


def _site(fields: Fields, occupied: bool) -> Site:
    multiplicity = fields.positive("multiplicity")
    if multiplicity != int(multiplicity):
        raise fields.error("expected a whole number", "multiplicity")
    site = Site(
        label=fields.text("label"),
        element=fields.text("element") if occupied else None,
        multiplicity=int(multiplicity),
        xyz=fields.point("xyz"),
    )
    fields.done()
    return site


def _hop(fields: Fields) -> Hop:
    start, end = fields.child("from"), fields.child("to")
    hop = Hop(
        name=fields.text("name"),
        ion=fields.text("ion"),
        mechanism=fields.choice("mechanism", MECHANISMS),
        from_site=start.text("site"),
        start=start.point("xyz"),
        to_site=end.text("site"),
        end=end.point("xyz"),
        also_vacant=fields.points("also_vacant", ()),
        clearance=fields.positive("clearance", CLEARANCE),
        barrier=fields.positive("barrier"),
        method=fields.text("method"),
        source=_source(fields, whole=False),
    )
    start.done()
    end.done()
    fields.done()
    return hop


def _source(fields: Fields, whole: bool) -> Source:
    source = Source(
        reference=fields.text("source"),
        doi=fields.text("doi", ""),
        checked=fields.choice("checked", CHECKED),
        note=fields.text("note", ""),
    )
    if whole:
        fields.done()
    return source


def _no_twins(names: list[str], fields: Fields, key: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise fields.error(f"{name!r} occurs twice", key)
