from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linegraph.errors import InputError
from training.splits import (
    Split,
    grouped_folds,
    grouped_split,
    leave_one_out,
    published_split,
    random_split,
    thinned,
)

TABULATION = Path(__file__).parents[3] / "shared" / "data" / "barriers" / "tabulation.csv"

seeds = st.integers(0, 2**32 - 1)
#: Enough small systems that every part asked for below can be filled.
system_lists = st.lists(st.integers(0, 30).map(str), min_size=40, max_size=120).filter(
    lambda systems: len(set(systems)) >= 10
)


def everything(split: Split) -> list[int]:
    return sorted(split.train + split.val + split.test)


def assert_ascending(split: Split) -> None:
    for part in (split.train, split.val, split.test):
        assert part == sorted(part)


def assert_grouped(split: Split, systems: list[str]) -> None:
    parts = [{systems[i] for i in part} for part in (split.train, split.val, split.test)]
    assert sum(len(part) for part in parts) == len(set.union(*parts))


def test_published_split_of_559_is_503_and_55() -> None:
    assert published_split(559) == Split(list(range(503)), list(range(503, 558)), [])


def test_published_parts_are_rounded_down() -> None:
    """13.5 of 15 are 13, and one of the 1.5 that are left."""
    assert published_split(15) == Split(list(range(13)), [13], [])


@given(st.integers(10, 5000))
def test_published_split_keeps_the_file_order(n: int) -> None:
    split = published_split(n)
    assert split.train + split.val == list(range(len(split.train) + len(split.val)))
    assert n - 1 <= len(split.train) + len(split.val) <= n
    assert split.test == []


@pytest.mark.parametrize("n", [0, 1, 9])
def test_published_split_needs_ten_records(n: int) -> None:
    with pytest.raises(InputError, match=r"the (train|validation) split is empty"):
        published_split(n)


@given(st.integers(20, 300), seeds, st.sampled_from([0.0, 0.1, 0.35]), st.sampled_from([0.0, 0.2]))
def test_random_split_is_a_partition(n: int, seed: int, val: float, test: float) -> None:
    split = random_split(n, seed, val, test)
    assert everything(split) == list(range(n))
    assert (len(split.val), len(split.test)) == (round(val * n), round(test * n))
    assert_ascending(split)
    assert split == random_split(n, seed, val, test)


@given(system_lists, seeds, st.sampled_from([0.0, 0.1, 0.35]), st.sampled_from([0.0, 0.2]))
def test_grouped_split_is_a_partition_by_system(
    systems: list[str], seed: int, val: float, test: float
) -> None:
    split = grouped_split(systems, seed, val, test)
    assert everything(split) == list(range(len(systems)))
    assert_grouped(split, systems)
    assert_ascending(split)
    assert split.train
    assert bool(split.val) == (val > 0)
    assert bool(split.test) == (test > 0)
    assert split == grouped_split(systems, seed, val, test)


@settings(max_examples=50)
@given(system_lists, seeds, st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.3]))
def test_folds_test_every_record_once(systems: list[str], seed: int, k: int, val: float) -> None:
    folds = grouped_folds(systems, k, seed, val=val)
    assert len(folds) == k
    assert sorted(i for fold in folds for i in fold.test) == list(range(len(systems)))
    for fold in folds:
        assert everything(fold) == list(range(len(systems)))
        assert_grouped(fold, systems)
        assert_ascending(fold)
        assert fold.train
        assert bool(fold.val) == (val > 0)
    sizes = [len(fold.test) for fold in folds]
    # What dealing to the smallest fold guarantees: no gap larger than the largest system.
    assert max(sizes) - min(sizes) <= max(systems.count(system) for system in systems)
    assert folds == grouped_folds(systems, k, seed, val=val)


@settings(max_examples=50)
@given(system_lists, seeds, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2]))
def test_what_is_left_out_is_not_learned_from(
    systems: list[str], seed: int, drawn: int, val: float
) -> None:
    """Not even another record of the same compound that goes by another class."""
    random = np.random.default_rng(drawn)
    values = [f"class {i}" for i in random.integers(3, size=len(systems))]
    # Enough that belongs to the first class only.
    systems = [*systems, *(f"x{i}" for i in range(20)), *(f"y{i}" for i in range(20))]
    values = [*values, *["class 0"] * 20, *["class 1"] * 20]
    splits = leave_one_out(values, systems, seed, val)
    assert list(splits) == sorted(set(values))
    for value, split in splits.items():
        assert split.test == [i for i, one in enumerate(values) if one == value]
        assert_ascending(split)
        assert_grouped(split, systems)
        assert bool(split.val) == (val > 0)
        closed = {systems[i] for i in split.test}
        rest = [i for i, system in enumerate(systems) if system not in closed]
        assert sorted(split.train + split.val) == rest
    assert splits == leave_one_out(values, systems, seed, val)


def test_leaving_out_needs_two_values_for_every_record() -> None:
    systems = list("abcdef")
    with pytest.raises(InputError, match="all records are 'x'"):
        leave_one_out(["x"] * 6, systems, 0)
    with pytest.raises(InputError, match="none given") as caught:
        leave_one_out(["x", "x", "", "y", "y", "y"], systems, 0)
    assert caught.value.record == 2
    with pytest.raises(InputError, match="with 'x' left out, the train split is empty"):
        leave_one_out(["x", "y", "x", "y", "x", "y"], ["a", "a", "b", "b", "c", "c"], 0, val=0)


@given(system_lists, seeds, st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_smaller_fractions_lie_within_larger_ones(
    systems: list[str], seed: int, fractions: list[float]
) -> None:
    whole = grouped_split(systems, seed, val=0.2, test=0.2)
    larger = whole
    for fraction in (1.0, *sorted(fractions, reverse=True)):
        part = thinned(whole, systems, fraction, seed)
        assert part == thinned(whole, systems, fraction, seed)
        assert part.test == whole.test
        assert_ascending(part)
        for kept, above, all_ in (
            (part.train, larger.train, whole.train), (part.val, larger.val, whole.val)
        ):  # fmt: skip
            assert kept and set(kept) <= set(above)
            # Whole systems, and as near to the size wanted as these allow.
            names = {systems[i] for i in kept}
            assert kept == [i for i in all_ if systems[i] in names]
            largest = max([systems[i] for i in all_].count(name) for name in set(systems))
            assert abs(len(kept) - fraction * len(all_)) <= largest
        larger = part


def test_fractions_of_real_sizes() -> None:
    systems = [str(i) for i in range(200)]
    whole = Split(list(range(100)), list(range(100, 120)), list(range(120, 200)))
    for fraction in (0.25, 0.5):
        part = thinned(whole, systems, fraction, 0)
        assert (len(part.train), len(part.val)) == (100 * fraction, 20 * fraction)
    assert thinned(whole, systems, 0.5, 0) != thinned(whole, systems, 0.5, 1)
    assert thinned(Split([0, 1], [], []), systems, 0.5, 0).val == []
    # Of what whole systems allow, the nearest.
    tens = Split(list(range(100, 130)), [], [])
    for fraction, size in ((0.4, 10), (0.6, 20)):
        part = thinned(tens, [str(i // 10) for i in range(200)], fraction, 0)
        assert len(part.train) == size and set(part.train) < set(tens.train)
    for fraction in (0.0, -0.5, 1.1, float("nan")):
        with pytest.raises(InputError, match="no fraction above 0"):
            thinned(whole, systems, fraction, 0)


def test_seeds_differ() -> None:
    systems = [str(i // 2) for i in range(200)]
    makers: list[Callable[[int], object]] = [
        lambda seed: random_split(200, seed),
        lambda seed: grouped_split(systems, seed),
        lambda seed: grouped_folds(systems, 5, seed),
    ]
    for make in makers:
        assert make(0) != make(1)


def test_a_part_as_large_as_asked_for_when_systems_allow() -> None:
    systems = ["big"] * 30 + [f"single {i}" for i in range(70)]
    for seed in range(10):
        split = grouped_split(systems, seed, val=0.1, test=0.2)
        assert (len(split.val), len(split.test)) == (10, 20)


def test_a_part_takes_one_system_too_large_rather_than_none() -> None:
    systems = ["a"] * 12 + ["b"] * 5 + ["c"] * 13
    assert grouped_split(systems, seed=3).val == list(range(12, 17))


def test_real_systems_make_even_folds() -> None:
    if not TABULATION.is_file():
        pytest.skip("the barrier data are not beside the repository")
    with TABULATION.open(encoding="utf-8") as stream:
        names = [row["sys_name"] for row in csv.DictReader(stream) if row["split"] == "train"]
    systems = [re.sub(r"_\d+$", "", name) for name in names]
    folds = grouped_folds(systems, 5, seed=0)
    assert sorted(len(fold.test) for fold in folds) == [111, 112, 112, 112, 112]
    for fold in folds:
        assert len(fold.val) == round(0.1 * (559 - len(fold.test)))


@pytest.mark.parametrize(
    ("part", "make"),
    [
        ("validation", lambda: random_split(4, 0)),
        ("test", lambda: random_split(9, 0, val=0.2, test=0.05)),
        ("train", lambda: random_split(10, 0, val=0.5, test=0.5)),
        ("train", lambda: random_split(0, 0, val=0.0)),
        ("validation", lambda: grouped_split(list("abcd"), 0)),
        ("test", lambda: grouped_split(list("abcd"), 0, val=0.0, test=0.1)),
        ("train", lambda: grouped_split(["a"] * 10, 0)),
        ("train", lambda: grouped_split(["a"] * 10 + ["b"] * 10, 0, val=0.1, test=0.1)),
        ("train", lambda: grouped_split(["a"] * 9 + ["b"] * 9, 0, val=0.6, test=0.6)),
        ("train", lambda: grouped_folds(["a"] * 10 + ["b"] * 10, 2, 0)),
    ],
)
def test_an_empty_part_is_refused(part: str, make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=f"the {part} split is empty"):
        make()


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 10.0, float("nan")])
def test_fractions_are_checked(fraction: float) -> None:
    with pytest.raises(InputError, match="no fraction") as caught:
        random_split(100, 0, val=fraction)
    assert caught.value.field == "val"
    with pytest.raises(InputError, match="no fraction") as caught:
        grouped_split([str(i) for i in range(100)], 0, test=fraction)
    assert caught.value.field == "test"


def test_more_folds_than_systems_are_refused() -> None:
    systems = ["a", "b", "c"] * 10
    with pytest.raises(InputError, match="4 folds, but there are only 3 systems"):
        grouped_folds(systems, 4, 0)
    with pytest.raises(InputError, match="at least 2"):
        grouped_folds(systems, 1, 0)
    assert [len(fold.test) for fold in grouped_folds(systems, 3, 0)] == [10, 10, 10]


def test_a_record_without_a_system_is_refused() -> None:
    systems = ["a", "", "b"] * 10
    for make in (lambda: grouped_split(systems, 0), lambda: grouped_folds(systems, 2, 0)):
        with pytest.raises(InputError, match="no system given") as caught:
            make()
        assert caught.value.record == 1
