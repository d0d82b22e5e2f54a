"""What is predicted of a crystal: barriers of its hops, and where the ion gets through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .barrier import Barrier
from .empty_sites import EmptySite
from .hops import Hop
from .levels import Interval, in_words, level_as_dict
from .percolation import Percolation
from .structure import Cell

#: Å; a path that comes nearer to an atom of the host is no way for an ion.
TOO_CLOSE = 1.0


@dataclass(frozen=True)
class HopBarrier:
    """A hop and what is predicted of it.

    Attributes:
        hop: see :class:`linegraph.hops.Hop`.
        band: what the models looked at (:func:`linegraph.supercell.band_of`).
        approach: least distance of an image to an atom of the host, Å; at most 5.
        barrier: see :class:`linegraph.barrier.Barrier`.
    """

    hop: Hop
    band: Cell = field(repr=False, compare=False)
    approach: float
    barrier: Barrier

    @property
    def blocked(self) -> bool:
        """Whether the path comes nearer than :data:`TOO_CLOSE` to an atom."""
        return self.approach < TOO_CLOSE

    def as_dict(self) -> dict[str, Any]:
        """Everything but the band, ready for JSON."""
        hop = self.hop
        return {
            "hop": hop.label,
            "length_A": hop.length,
            "multiplicity": hop.multiplicity,
            "initial_site": hop.initial,
            "final_site": hop.final,
            "final_image": list(hop.image),
            "initial_empty": hop.empty[0],
            "final_empty": hop.empty[1],
            "start_fractional": list(hop.start),
            "end_fractional": list(hop.end),
            "closest_approach_A": self.approach,
            "blocked": self.blocked,
            **barrier_as_dict(self.barrier),
        }


class Predictor(NamedTuple):
    """What predicted.

    Attributes:
        name: of the model.
        members: how many of them the barrier is the mean of.
        records: how many they were trained on; 0 where the weights do not tell.
        calibrated: whether there are intervals.
    """

    name: str
    members: int
    records: int
    calibrated: bool


@dataclass(frozen=True)
class Prediction:
    """The barriers of a crystal.

    Attributes:
        formula: reduced formula.
        ion: element that hops.
        cell: the crystal as given, which sites and directions refer to.
        hops: its distinct hops with their barriers, sorted by length.
        percolation: at which barrier they lead through the crystal in 1, 2 and 3 dimensions.
        intervals: for each of these, the barrier (eV) if all hops were at the low, and if all
            were at the high end of their intervals. Hops of one crystal err together, but not
            entirely, so this is no joint interval: the barrier is within it at least as often as
            all hops are within theirs. None where nothing gets through, or nothing was calibrated.
        clear: as ``percolation``, without the hops whose path is blocked.
        model: what predicted.
        level: of the intervals.
        threshold: eV, of the probabilities.
        empty_sites: those that were found; None if none were looked for.
        idpp: whether paths are bent around atoms.
    """

    formula: str
    ion: str
    cell: Cell = field(repr=False, compare=False)
    hops: tuple[HopBarrier, ...]
    percolation: tuple[Percolation, ...]
    intervals: tuple[Interval | None, ...]
    clear: tuple[Percolation, ...]
    model: Predictor
    level: float
    threshold: float
    empty_sites: tuple[EmptySite, ...] | None = None
    idpp: bool = False

    def in_words(self) -> list[str]:
        """Where the ion gets through, a line for each further dimension."""
        lines = in_words(self.percolation, self.intervals)
        if self.clear != self.percolation:
            without = "; ".join(in_words(self.clear, (None, None, None)))
            lines.append(f"without paths that pass an atom nearer than {TOO_CLOSE:g} Å: {without}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and text, ready for JSON; units are in the keys, ``A`` is Å."""
        return {
            "formula": self.formula,
            "ion": self.ion,
            "level": self.level,
            "threshold_eV": self.threshold,
            "model": self.model._asdict(),
            "lattice_A": self.cell.lattice.tolist(),
            "empty_sites_found": None
            if self.empty_sites is None
            else [site.as_dict() for site in self.empty_sites],
            "hops": [hop.as_dict() for hop in self.hops],
            "percolation": [
                level_as_dict(found, interval)
                for found, interval in zip(self.percolation, self.intervals, strict=True)
            ],
            "percolation_without_blocked": [level_as_dict(found, None) for found in self.clear],
        }


def barrier_as_dict(barrier: Barrier) -> dict[str, Any]:
    """A barrier ready for JSON: plain numbers, None where the weights know none."""
    return {
        "barrier_eV": barrier.value,
        "low_eV": barrier.low,
        "high_eV": barrier.high,
        "probability_below_threshold": barrier.below,
        "distance": barrier.distance,
        "outside": barrier.outside,
        "nearest": list(barrier.nearest),
        "potential_eV": barrier.potential,
    }
