"""Barriers of a table that belong to the hops of a crystal."""

from __future__ import annotations

from collections.abc import Sequence

from linegraph.approach import Room, room_of
from linegraph.errors import InputError
from linegraph.hops import Hop
from linegraph.structure import Cell
from training.hops_command import band_name

from .table import BACKWARD, LENGTH, ROOM, NebTable

#: Å; a hop of a length this near may be the same hop, as may one with
_SAME = 0.005
#: as much room at its ends and on its path.
_SAME_ROOM = 0.02


def barriers_of_hops(
    table: NebTable, formula: str, hops: Sequence[Hop], bands: Sequence[Cell]
) -> dict[str, float]:
    """The barriers of a crystal's hops in eV, by their labels.

    In a table hops have the names that the command ``hops`` gives their bands. Numbers are not
    enough: another crystal of the same formula has the same names, other options number other hops,
    and so does another order of atoms, where hops are equally long. So the lengths have to be the
    same, and the room at both ends and on the path (:func:`linegraph.approach.room_of`). Where the
    ends are those of the hop the other way round, it is the backward barrier.

    Args:
        table: of a run of ``neb`` on the bands that ``hops`` wrote.
        formula: of the crystal, reduced.
        hops: of the crystal, as found there.
        bands: of each hop (:func:`linegraph.supercell.band_of`).

    Raises:
        InputError: the table has names of the crystal's hops, but of other hops, does not tell of
            which, or has no backward barrier; the message names its file.
    """
    rooms = [room_of(band) for band in bands]
    names = [band_name(formula, number) for number in range(1, len(hops) + 1)]
    for name, hop, room in zip(names, hops, rooms, strict=True):
        if name in table.barriers:
            _check_told(table, name, hop, room, hops)
    theirs = [name for name in table.lengths if name.rpartition("_")[0] == formula]
    fitting = [
        {
            name: way
            for name in theirs
            if (name == own or name in table.rooms) and (way := _way(table, name, hop, room))
        }
        for own, hop, room in zip(names, hops, rooms, strict=True)
    ]
    used = {name for fits in fitting for name in fits}
    found: dict[str, float] = {}
    for own, hop, fits in zip(names, hops, fitting, strict=True):
        if own in fits:
            found[hop.label] = _barrier(table, own, fits[own])
        elif len(fits) == 1:
            found[hop.label] = _barrier(table, *next(iter(fits.items())))
        elif fits:
            raise InputError(
                f"{' and '.join(fits)} may all be the hop {hop.label}: predict the bands that "
                "`hops --out` writes",
                file=table.path,
            )
        elif own in table.barriers and own not in used:
            raise _another(table, own, hop)
    return found


def _check_told(table: NebTable, name: str, hop: Hop, room: Room, hops: Sequence[Hop]) -> None:
    """Refuse a table that does not tell which hop is meant."""
    told = "give the folder of a run of `neb`, or predict the bands that `hops --out` writes"
    if name not in table.lengths:
        raise InputError(
            f"does not tell the length of {name}, by which hops of a crystal are recognised: "
            f"{told}",
            file=table.path,
            field=LENGTH,
        )
    as_long = [one.label for one in hops if abs(one.length - hop.length) <= _SAME]
    if name in table.rooms or abs(table.lengths[name] - hop.length) > _SAME:
        return
    if len(as_long) > 1:
        raise InputError(
            f"does not tell which of {', '.join(as_long)}, which are equally long, is {name}: "
            f"{told}",
            file=table.path,
            field=ROOM[1],
        )
    if abs(room.initial - room.final) > _SAME_ROOM:
        raise InputError(
            f"does not tell the direction of {name}, whose ends differ: {told}",
            file=table.path,
            field=ROOM[0],
        )


def _way(table: NebTable, name: str, hop: Hop, room: Room) -> int:
    """1 where a name may be that of a hop, -1 that of it the other way round, 0 if of neither."""
    if abs(table.lengths[name] - hop.length) > _SAME:
        return 0
    if name not in table.rooms:
        return 1
    theirs = table.rooms[name]
    ways = {1: theirs, -1: Room(theirs.final, theirs.path, theirs.initial)}
    off = {
        way: max(abs(a - b) for a, b in zip(one, room, strict=True)) for way, one in ways.items()
    }
    best = -1 if off[-1] < off[1] else 1
    return best if off[best] <= _SAME_ROOM else 0


def _barrier(table: NebTable, name: str, way: int) -> float:
    if way > 0:
        return table.barriers[name]
    if name not in table.backward:
        raise InputError(
            f"{name} is this hop the other way round, and there is no barrier of that in the table",
            file=table.path,
            field=BACKWARD,
        )
    return table.backward[name]


def _another(table: NebTable, name: str, hop: Hop) -> InputError:
    length, field = table.lengths[name], LENGTH
    there, here = f"of {length:.3f} Å", f"of {hop.length:.3f} Å"
    if abs(length - hop.length) <= _SAME:
        there, here, field = "with other room around its path", here, ROOM[1]
    return InputError(
        f"{name} is a hop {there} there, and {hop.label} one {here} here: of another crystal, or "
        "found by other options",
        file=table.path,
        field=field,
    )
