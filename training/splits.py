"""Which records to fit on, which to choose by, and which to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linegraph.errors import InputError

#: How one split is made: by file order as the authors' scripts do, by record, or by system.
SPLITS = ("published", "random", "grouped")


@dataclass(frozen=True)
class Split:
    """Positions of the records of each part, ascending; no position is in two parts.

    Attributes:
        train: to fit on.
        val: to stop early and to choose by; empty if none was asked for.
        test: to judge by; empty if none was asked for.
    """

    train: list[int]
    val: list[int]
    test: list[int]


def published_split(n: int) -> Split:
    """The split of the authors' scripts, by file order and without shuffling.

    They fit on the first 90 %, validate on the next 10 %, and round both down: of 559 records
    503 and 55, which leaves the last one out.

    Args:
        n: number of records.

    Raises:
        InputError: there are too few records.
    """
    n_train, n_val = int(0.9 * n), int(0.1 * n)
    _check_not_empty("train", n_train, n)
    _check_not_empty("validation", n_val, n)
    return Split(list(range(n_train)), list(range(n_train, n_train + n_val)), [])


def random_split(n: int, seed: int, val: float = 0.1, test: float = 0.0) -> Split:
    """Parts drawn record by record, whatever system they belong to.

    Args:
        n: number of records.
        seed: of the drawing; the same seed gives the same split.
        val: fraction of the records to validate on.
        test: fraction of the records to test on.

    Raises:
        InputError: a part that was asked for is empty, or the fractions leave no training part.
    """
    n_val, n_test = _part_sizes(n, val, test)
    order = np.random.default_rng(seed).permutation(n).tolist()
    return Split(
        train=sorted(order[n_test + n_val :]),
        val=sorted(order[n_test : n_test + n_val]),
        test=sorted(order[:n_test]),
    )


def grouped_split(systems: Sequence[str], seed: int, val: float = 0.1, test: float = 0.0) -> Split:
    """Parts drawn system by system: records of one system never lie on two sides.

    A part is filled with systems in random order as long as they fit; it holds at least one
    system, even where the smallest one left is larger than the part should be.

    Args:
        systems: the system of each record.
        seed: of the drawing; the same seed gives the same split.
        val: fraction of the records to validate on.
        test: fraction of the records to test on.

    Raises:
        InputError: a part that was asked for is empty, the fractions or the systems leave no
            training part, or a record names no system.
    """
    groups = _shuffled_groups(systems, seed)
    n_val, n_test = _part_sizes(len(systems), val, test)
    test_part, groups = _take(groups, n_test)
    val_part, groups = _take(groups, n_val)
    train_part = sorted(position for group in groups for position in group)
    _check_not_empty("train", len(train_part), len(systems))
    return Split(train_part, val_part, test_part)


def grouped_folds(systems: Sequence[str], k: int, seed: int, val: float = 0.1) -> list[Split]:
    """Cross-validation by system: every record is in the test part of exactly one fold.

    The folds are balanced in records, not in systems as scikit-learn's shuffled ``GroupKFold``
    does it (100 to 130 records a fold on 559 in 403 systems): the largest systems are dealt
    first, each to the smallest fold so far, in an order shuffled among systems of one size.

    Args:
        systems: the system of each record.
        k: number of folds, at least 2.
        seed: of the shuffling; the same seed gives the same folds.
        val: fraction of each fold's training records set apart to stop early by, by system too;
            0 for none.

    Raises:
        InputError: fewer systems than folds, fewer than two folds, a part that was asked for is
            empty, or a record names no system.
    """
    groups = _shuffled_groups(systems, seed)
    if k < 2:
        raise InputError(f"{k} folds: at least 2 are needed", field="k")
    if k > len(groups):
        raise InputError(f"{k} folds, but there are only {len(groups)} systems", field="k")
    folds: list[list[int]] = [[] for _ in range(k)]
    for group in sorted(groups, key=len, reverse=True):
        min(folds, key=len).extend(group)
    splits = []
    for fold in folds:
        test_part = set(fold)
        rest = [position for position in range(len(systems)) if position not in test_part]
        splits.append(_held_out(fold, rest, systems, seed, val))
    return splits


def leave_one_out(
    values: Sequence[str], systems: Sequence[str], seed: int, val: float = 0.1
) -> dict[str, Split]:
    """Hold out all records of one value (a class, an ion) in turn, and learn from the others.

    Records of a held-out record's system are left out of training even where their own value is
    another one, so that no compound is on two sides; they are in no part of that split.

    Args:
        values: the value of each record.
        systems: the system of each record.
        seed: of the drawing of the validation parts.
        val: fraction of each split's training records set apart to stop early by, by system; 0
            for none.

    Returns:
        The splits by the value held out, in alphabetical order.

    Raises:
        InputError: all records have one value, a training or validation part is empty, or a
            record names no value or no system.
    """
    for position, value in enumerate(values):
        if not value:
            raise InputError("none given; leaving one out in turn needs it", record=position)
    found = sorted(set(values))
    if len(found) < 2:
        raise InputError(f"all records are {''.join(found)!r}: none is left to learn from")
    splits = {}
    for left_out in found:
        test_part = [position for position, value in enumerate(values) if value == left_out]
        closed = {systems[position] for position in test_part}
        rest = [position for position, system in enumerate(systems) if system not in closed]
        try:
            splits[left_out] = _held_out(test_part, rest, systems, seed, val)
        except InputError as error:
            raise InputError(f"with {left_out!r} left out, {error.problem}") from None
    return splits


def thinned(split: Split, systems: Sequence[str], fraction: float, seed: int) -> Split:
    """Keep a fraction of the records to fit on and of those to choose by, drawn by system.

    Systems are taken in one random order until there are about as many records as wanted, at
    least one system: what a smaller fraction keeps, a larger one keeps too. The test part stays.

    Args:
        split: all records.
        systems: the system of each record.
        fraction: of the records, above 0 and at most 1.
        seed: of the order.

    Raises:
        InputError: no such fraction.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"{fraction} is no fraction above 0 and up to 1", field="train_fraction")
    if fraction == 1:
        return split
    kept = []
    for part in (split.train, split.val):
        groups = _shuffled_groups([systems[position] for position in part], seed)
        sizes = np.cumsum([len(group) for group in groups])
        # The nearest size, which grows with the fraction as the sizes do.
        last = int(np.abs(sizes - fraction * len(part)).argmin()) + 1 if groups else 0
        kept.append(sorted(part[i] for group in groups[:last] for i in group))
    return Split(kept[0], kept[1], split.test)


def _held_out(
    test_part: Sequence[int], rest: Sequence[int], systems: Sequence[str], seed: int, val: float
) -> Split:
    """Judge by one part, and draw the validation records from the rest."""
    inner = grouped_split([systems[position] for position in rest], seed, val=val)
    return Split(
        train=[rest[position] for position in inner.train],
        val=[rest[position] for position in inner.val],
        test=sorted(test_part),
    )


def _shuffled_groups(systems: Sequence[str], seed: int) -> list[list[int]]:
    """The positions of each system's records, the systems in random order."""
    members: dict[str, list[int]] = {}
    for position, system in enumerate(systems):
        if not system:
            # All unnamed records as one system would be a guess, and each on its own a leak.
            raise InputError(
                "no system given; splitting by system needs one", record=position, field="system"
            )
        members.setdefault(system, []).append(position)
    groups = list(members.values())
    return [groups[i] for i in np.random.default_rng(seed).permutation(len(groups))]


def _take(groups: list[list[int]], size: int) -> tuple[list[int], list[list[int]]]:
    """About ``size`` positions in whole groups, ascending, and the groups left over."""
    taken: list[int] = []
    left = []
    for group in groups:
        if len(taken) + len(group) <= size:
            taken.extend(group)
        else:
            left.append(group)
    if size and not taken and left:
        smallest = min(range(len(left)), key=lambda i: len(left[i]))
        taken = left.pop(smallest)
    return sorted(taken), left


def _part_sizes(n: int, val: float, test: float) -> tuple[int, int]:
    """How many records to validate and to test on."""
    for name, fraction in (("val", val), ("test", test)):
        if not 0 <= fraction < 1:
            raise InputError(f"{fraction} is no fraction from 0 to below 1", field=name)
    n_val, n_test = round(val * n), round(test * n)
    if val:
        _check_not_empty("validation", n_val, n)
    if test:
        _check_not_empty("test", n_test, n)
    _check_not_empty("train", n - n_val - n_test, n)
    return n_val, n_test


def _check_not_empty(part: str, size: int, n: int) -> None:
    if size < 1:
        raise InputError(f"the {part} split is empty ({n} records in all)")
