from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linegraph.ends import Ends
from linegraph.errors import InputError
from linegraph.structure import Cell
from tests.bands import rock_salt_band
from tests.judged_runs import hops
from training.bands import Band
from training.data import hop_length
from training.judging.breakdown import UNKNOWN, breakdown_grid, by_quartile, by_word
from training.judging.calibration import LEVELS, calibration_of
from training.judging.curve import training_size
from training.judging.distance import descriptors, nearest_training
from training.judging.experiments import COLUMNS, compare, experiments
from training.judging.facts import facts_of, path_of
from training.judging.groups import Group, folds_of, groups_of
from training.judging.inputs import Entry
from training.judging.predictions import Predictions


def entry(
    label: str,
    target: list[float],
    prediction: list[float],
    *,
    names: list[str] | None = None,
    std: list[float] | None = None,
    trained: bool = True,
    fold: list[str] | None = None,
    split: list[str] | None = None,
    seed: list[int] | None = None,
) -> Entry:
    n = len(target)
    names = names or [f"r{i}" for i in range(n)]
    table = Predictions(
        label, "3 folds by system", 1.0, Path(label), names, split or ["test"] * n, names,
        [""] * n, [""] * n, fold or ["1"] * n, seed or [0] * n, np.array(target),
        np.array(prediction), np.array(std if std else [np.nan] * n),
    )  # fmt: skip
    return Entry(label, table, trained)


def group(*entries: Entry) -> Group:
    return Group("3 folds by system", list(entries), [], entries[0])


def test_errors_by_word() -> None:
    first = entry("a", [1, 1, 1, 1], [1.5, 0.5, 2, 1])
    second = entry("b", [1], [3], names=["r3"])
    found = by_word([first, second], {"r0": "Li", "r1": "Li", "r2": "Na", "r3": ""})
    assert found.parts == ["Li", "Na", UNKNOWN]
    assert found.lines("p") == [
        ("p", "a", "Li", 2, 0.5, 0.0),
        ("p", "a", "Na", 1, 1.0, 1.0),
        ("p", "a", UNKNOWN, 1, 0.0, 0.0),
        ("p", "b", UNKNOWN, 1, 2.0, 2.0),
    ]


def test_quarters_hold_equally_many_records() -> None:
    one = entry("a", [0.0] * 8, [0.1 * i for i in range(8)])
    found = by_quartile([one], {f"r{i}": float(i) for i in range(8)}, 2)
    assert found.parts == ["0.00 to 1.75", "1.75 to 3.50", "3.50 to 5.25", "5.25 to 7.00"]
    assert [line[3] for line in found.lines("p")] == [2, 2, 2, 2]
    assert [line[4] for line in found.lines("p")] == pytest.approx([0.05, 0.25, 0.45, 0.65])


def test_quarters_of_equal_and_of_no_numbers() -> None:
    one = entry("a", [0.0] * 4, [1.0] * 4)
    same = by_quartile([one], dict.fromkeys(["r0", "r1", "r2"], 2.0), 1)
    # One part, and the record without a number in none.
    assert same.parts == ["2.0 to 2.0"]
    assert same.errors["2.0 to 2.0"]["a"].records == 3
    assert by_quartile([one], {}, 1).parts == []


def test_several_seeds_count_a_record_once() -> None:
    one = entry("a", [1, 1], [1.2, 1.6], names=["x", "x"], seed=[0, 1])
    errors = by_word([one], {"x": "Li"}).errors["Li"]["a"]
    assert (errors.records, errors.mae) == (1, pytest.approx(0.4))


def test_rare_classes_share_a_line_of_the_page() -> None:
    one = entry("a", [0.0] * 9, [1.0] * 6 + [2.0, 2.0, 4.0])
    words = {f"r{i}": "many" if i < 6 else ("few" if i < 8 else "one") for i in range(9)}
    grid = breakdown_grid(group(one), by_word([one], words), "class", words=True)
    cells = [[cell.text for cell in row] for row in grid.cells]
    assert cells == [
        ["many", "6", "1.000"],
        ["2 others of fewer than 5 records each", "3", "2.667"],
    ]


def test_distance_to_the_nearest_training_record() -> None:
    random = np.random.default_rng(0)
    blocks = [random.random((40, 3)), random.random((40, 2)), random.random((40, 4))]
    train, test = list(range(30)), list(range(30, 40))
    assert nearest_training(blocks, train, train).tolist() == [0.0] * 30
    near = nearest_training(blocks, train, test)
    assert near.min() > 0
    # Each column of the path in its own unit, and no more training records than those given.
    scaled = [*blocks[:2], blocks[2] * [10, 1, 1, 1]]
    np.testing.assert_allclose(nearest_training(scaled, train, test), near)
    assert (nearest_training(blocks, train[:9], test) != near).any()
    assert nearest_training(blocks, train, []).shape == (0,)


def test_distance_by_hand() -> None:
    # Two training records, other elements and 2 Å of path apart, and one between the images.
    elements = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    path = np.array([[0.0, 7.0], [2.0, 7.0], [2.5, 7.0]])
    # Spread of the elements 0.5 (two variances of 1/4), of the path 1; each block counts a third,
    # and two draws of one record are twice the variance apart.
    assert nearest_training([elements, elements, path], [0, 1], [2])[0] == pytest.approx(
        np.sqrt(2.5**2 / 6)
    )
    assert nearest_training([elements, elements, path], [1, 0], [0, 1]).tolist() == [0, 0]
    # From the record of other elements alone there is no scale but 1.
    alone = nearest_training([elements, elements, path], [1], [2])[0]
    assert alone == pytest.approx(np.sqrt((2 + 2 + 0.25) / 6))


def test_descriptors_of_bands_and_of_ends() -> None:
    cell = rock_salt_band("Li", "O", 4.2)
    ends = Ends(cell.without([1, 2, 3, 4]), cell.without([0, 1, 2, 3]))
    bands = [Band("a", cell), Band("b", ends)]
    host, ion, path = descriptors(bands)
    np.testing.assert_allclose(host[0], host[1])
    assert host[0, 7] == pytest.approx(8 / 14)
    assert ion.sum() == 2
    assert ion[0, 2] == 1
    np.testing.assert_allclose(path[0], path[1])
    assert path[0, 0] == pytest.approx(hop_length(bands[0]))
    # At the end sites, oxygen is half an edge away.
    assert path[0, [1, 5]] == pytest.approx([2.1, 2.1])
    np.testing.assert_allclose(path_of(ends), path_of(cell))


def test_a_band_without_a_host() -> None:
    images = np.linspace(0, 0.5, 5)[:, None] * [1, 0, 0]
    host, ion, path = descriptors([Band("a", Cell(np.eye(3) * 8, images, [3] * 5))])
    assert host.sum() == 0
    assert ion.sum() == 1
    assert path[0].tolist() == [4, 0, 0, 0, 0, 0]


def test_coverage_of_intervals() -> None:
    random = np.random.default_rng(3)
    error = random.normal(scale=0.2, size=4000)
    honest = calibration_of(entry("a", [0.0] * 4000, error.tolist(), std=[0.2] * 4000))
    proud = calibration_of(entry("b", [0.0] * 4000, error.tolist(), std=[0.1] * 4000))
    assert honest is not None and proud is not None
    np.testing.assert_allclose(honest.observed, LEVELS, atol=0.03)
    assert honest.sharpness == pytest.approx(0.2)
    assert honest.rmse == pytest.approx(0.2, rel=0.05)
    assert proud.observed[LEVELS.index(0.68)] == pytest.approx(0.38, abs=0.03)
    assert honest.gap < 0.02 < proud.gap
    assert calibration_of(entry("c", [0.0], [0.1])) is None


def test_coverage_is_of_the_predictions_that_have_a_deviation() -> None:
    some = calibration_of(entry("a", [0.0, 0.0], [0.1, 9.0], std=[0.2, np.nan]))
    assert some is not None
    assert (some.records, some.rmse) == (1, pytest.approx(0.1))


def test_folds_learn_from_no_compound_that_is_held_out() -> None:
    bands = hops(12)
    facts = facts_of(bands)
    names = [band.name for band in bands]
    # The second path of the first compound is in another fold than the first one.
    fold = ["1" if i in (0, 2, 3) else "2" for i in range(12)]
    one = entry("a", [0.0] * 12, [0.1] * 12, names=names, fold=fold)
    first, second = folds_of(one, facts)
    assert (first.test, first.train) == ([0, 2, 3], list(range(4, 12)))
    assert second.test == [1, *range(4, 12)]
    assert second.train == [2, 3]


def test_a_single_split_learns_from_what_it_says() -> None:
    bands = hops(12)
    names = [band.name for band in bands][:6]
    split = ["train", "train", "val", "test", "test", "test"]
    one = entry("a", [0.0] * 6, [0.1] * 6, names=names, fold=[""] * 6, split=split)
    (fold,) = folds_of(one, facts_of(bands))
    assert (fold.held, fold.test, fold.train) == ([3, 4, 5], [3, 4, 5], [0, 1, 2])
    silent = entry("b", [0.0] * 2, [0.1] * 2, names=names[:2], fold=["", ""])
    (fold,) = folds_of(silent, facts_of(bands))
    assert (fold.test, fold.train) == ([0, 1], list(range(2, 12)))


def test_the_reference_predicts_nearly_everything() -> None:
    good = entry("good", [0.0] * 10, [0.2] * 10)
    lucky = entry("lucky", [0.0], [0.0], names=["r0"])
    (found,) = groups_of([lucky, good], "", [], {})
    assert found.reference.label == "good"
    (found,) = groups_of([lucky, good], "lucky", [], {})
    assert found.reference.label == "lucky"
    assert found.other_folds() == ["good"]


def test_the_reference_has_learned_from_all_there_is() -> None:
    """Of a learning curve the largest part, also where a smaller one happens to be better."""
    whole = entry("whole", [0.0] * 10, [0.2] * 10)
    half = entry("half", [0.0] * 10, [0.1] * 10)
    half = replace(half, predictions=replace(half.predictions, train_fraction=0.5))
    for found in groups_of([half, whole], "", [], {}):
        if {one.label for one in found.entries} == {"half", "whole"}:
            assert found.reference.label == "whole"
            break
    else:
        pytest.fail("they are in no group together")


@pytest.mark.parametrize(("val", "size"), [(None, 4.0), (0.25, 3.0)])
def test_how_many_records_a_model_of_folds_was_fitted_to(val: float | None, size: float) -> None:
    """Of six in three folds four, of which a part may be set apart for validation."""
    one = entry("a", [0.0] * 6, [0.1] * 6, fold=["1", "1", "2", "2", "3", "3"])
    assert training_size(replace(one, config={"settings": {"val": val}})) == pytest.approx(size)


def test_methods_without_training_are_judged_by_the_records_of_a_protocol() -> None:
    model = entry("model", [0.0] * 3, [0.2] * 3)
    fixed = entry("neb", [0.0] * 3, [0.3] * 3, names=["r1", "r2", "x"], trained=False)
    (found,) = groups_of([model, fixed], "", [], {})
    assert found.untrained[0].held.names == ["r1", "r2"]
    (alone,) = groups_of([fixed], "", [], {})
    assert alone.protocol == "no training"
    assert alone.untrained[0].held.names == ["r1", "r2", "x"]


def test_experiments_are_compared_with_records_of_their_name(tmp_path: Path) -> None:
    table = tmp_path / "e.csv"
    lines = [
        "A,Li,0.3,NMR,Someone (2000),10.1/x,search,r0,",
        "B,Na,,,Other (2001),,,r1,not to be had",
        "C,Li,0.4,NMR,Third (2002),,memory,,no record",
    ]
    table.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    read = experiments(table)
    assert [e.enthalpy for e in read] == [0.3, None, 0.4]
    model = entry("m", [0.25, 0.25], [0.2, 0.4], names=["r0", "r0"], seed=[0, 1])
    first, third = compare(read, [model], {})
    assert (first.barrier, first.predicted) == (0.25, {"m": pytest.approx(0.3)})
    assert (third.barrier, third.predicted) == (None, {})
    table.write_text(table.read_text().replace("0.3,", "about 0.3,"))
    with pytest.raises(InputError, match="expected a number"):
        experiments(table)


def test_the_table_of_experiments_is_part_of_the_package() -> None:
    assert len(experiments()) == 15
