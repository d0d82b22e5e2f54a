"""How a model is judged: which records are held out, how often, and what may be learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from linegraph.errors import InputError

from .bands import Band
from .data import compound_of, ion_of
from .read import BandSet
from .splits import (
    SPLITS,
    Split,
    grouped_folds,
    grouped_split,
    leave_one_out,
    published_split,
    random_split,
    thinned,
)

#: Seeds stay below this, repeats included: what all random generators take.
LARGEST_SEED = 2**32

#: What can be left out value by value.
LEAVE_OUT: dict[str, Callable[[Band], str]] = {"class": lambda band: band.family, "ion": ion_of}


@dataclass(frozen=True)
class Protocol:
    """A way to judge; by default one split.

    Attributes:
        folds: cross-validate with so many folds, grouped by system; 0 for none.
        leave_out: instead, hold out every ``class`` or every migrating ``ion`` in turn.
        repeats: how often all of it is done, each time with the next seed of splits and models.
        train_fraction: fraction of each training part (validation included) that is used, drawn
            by system: for learning curves. What a smaller one uses, a larger one uses too.
        split: how one split is made, of :data:`training.splits.SPLITS`; not used by folds and by
            values left out.

    Raises:
        InputError: values out of range, or folds together with ``leave_out``.
    """

    folds: int = 0
    leave_out: str = ""
    repeats: int = 1
    train_fraction: float = 1.0
    split: str = "grouped"

    def __post_init__(self) -> None:
        if self.folds < 0 or self.folds == 1:
            raise InputError(f"{self.folds} folds: at least 2 are needed", field="folds")
        if self.leave_out and self.leave_out not in LEAVE_OUT:
            known = ", ".join(LEAVE_OUT)
            raise InputError(f"unknown {self.leave_out!r}; known are {known}", field="leave_out")
        if self.leave_out and self.folds:
            raise InputError("give either this or folds, not both", field="leave_out")
        if self.repeats < 1:
            raise InputError(f"{self.repeats} repeats: at least 1 is needed", field="repeats")
        if not 0 < self.train_fraction <= 1:
            problem = f"{self.train_fraction} is no fraction above 0 and up to 1"
            raise InputError(problem, field="train_fraction")
        if self.split not in SPLITS:
            known = ", ".join(SPLITS)
            raise InputError(f"unknown {self.split!r}; known are {known}", field="split")

    @property
    def name(self) -> str:
        """In words, without repeats and training fraction."""
        if self.leave_out:
            return f"leave one {self.leave_out} out"
        return f"{self.folds} folds by system" if self.folds else f"one {self.split} split"

    def as_dict(self) -> dict[str, Any]:
        """What ``config.yaml`` holds under ``protocol``."""
        return {"name": self.name, **asdict(self)}


class Part(NamedTuple):
    """One model's share of a run.

    Attributes:
        label: of the fold: its number, or the class or ion left out; empty for one split.
        folder: its own, relative to the run folder; empty where that is the run folder itself.
        seed: of the split and of the model.
        split: positions of the records.
    """

    label: str
    folder: str
    seed: int
    split: Split


def parts_of(
    bands: BandSet, protocol: Protocol, *, seed: int, val: float, test: float
) -> list[Part]:
    """Part the records, once for every model that a protocol asks for.

    Folds and left-out values set the fraction ``val`` of the other records apart, by system, and
    ignore ``test``. Where a class or ion is left out, records of the same compounds
    that belong to another class or ion are not learned from either.

    Args:
        bands: all records.
        protocol: what to do.
        seed: of the first repeat.
        val: fraction of the records to choose by.
        test: fraction of the records to judge by, of one split.

    Raises:
        InputError: an empty part, fewer systems than folds, a record without a class where that
            is left out; the message names the file.
    """
    if not 0 <= seed <= LARGEST_SEED - protocol.repeats:
        raise InputError(f"is {seed}, expected 0 to {LARGEST_SEED:,}", field="seed")
    parts: list[Part] = []
    systems = [compound_of(band) for band in bands.bands]
    for current in range(seed, seed + protocol.repeats):
        try:
            splits = _splits(bands, protocol, systems, current, val, test)
        except InputError as error:
            raise _located(error, bands, protocol) from None
        for number, (label, whole) in enumerate(splits.items(), start=1):
            path = [f"seed-{current}"] * (protocol.repeats > 1) + [f"fold-{number}"] * bool(label)
            used = thinned(whole, systems, protocol.train_fraction, current)
            parts.append(Part(label, "/".join(path), current, used))
    return parts


def _located(error: InputError, bands: BandSet, protocol: Protocol) -> InputError:
    """The same problem in terms of the file."""
    record: object = error.record
    if isinstance(record, int):
        record = repr(bands.bands[record].name)
    field = "system" if protocol.folds else error.field or protocol.leave_out or None
    return InputError(error.problem, file=bands.path, record=record, field=field)


def _splits(
    bands: BandSet,
    protocol: Protocol,
    systems: list[str],
    seed: int,
    val: float,
    test: float,
) -> dict[str, Split]:
    """Splits of one repeat, by the label of the fold."""
    if protocol.leave_out:
        values = [LEAVE_OUT[protocol.leave_out](band) for band in bands.bands]
        return leave_one_out(values, systems, seed, val)
    if protocol.folds:
        folds = grouped_folds(systems, protocol.folds, seed, val)
        return {str(number): fold for number, fold in enumerate(folds, start=1)}
    if protocol.split == "published":
        return {"": published_split(len(systems))}
    if protocol.split == "random":
        return {"": random_split(len(systems), seed, val, test)}
    return {"": grouped_split(systems, seed, val, test)}
