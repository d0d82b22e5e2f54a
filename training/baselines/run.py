"""The command ``baseline`` as a function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from linegraph.errors import InputError

from ..data import labelled, load_bands, one_path_each
from ..files import write_csv
from ..held import held
from ..judge import Answer, judge
from ..protocols import Part, Protocol, parts_of
from ..read import BandSet
from ..runs import claim_folder, source_of, write_config, write_skipped
from .models import CLASS, SELECTIONS, Baseline, find_baseline, importances, spread_of_trees
from .published import PUBLISHED_FEATURES
from .structure import require_matminer
from .table import Failure, feature_table

#: Fraction of the records that a single split holds out, by system: as recipes do, so that the same
#: seed holds out the same records.
TEST = 0.1

#: Columns of ``predictions-<name>.csv`` and of ``features.csv``.
PREDICTED = ("sys_name", "prediction_eV", "std_eV")
USED = ("feature", "models", "of", "mean_importance", "published")

#: Distributions that only baselines depend on.
PACKAGES = ("scikit-learn", "scipy", "matminer")


def baseline(
    out: str | PathLike[str],
    name: str,
    *,
    data: str | PathLike[str] | None = None,
    protocol: Protocol | None = None,
    seed: int = 123,
    selection: str = "fitted",
    predict: str | PathLike[str] | None = None,
    one_path: bool = False,
    skip_bad: bool = False,
    resume: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Judge a classical model on a data set and write a run folder.

    Besides what :func:`training.judge.judge` writes, the folder gets ``config.yaml``,
    ``features.csv`` (which features were used, by how many of the fitted models, how important
    they were on average, and whether the paper selected them) and ``failures.csv`` (features that
    could not be had; each is replaced by the median of the records the model learns from).

    Args:
        out: the run folder; must not exist, unless ``resume``.
        name: one of :data:`training.baselines.models.BASELINES`.
        data: a file or folder of bands; the embedded starter set if None.
        protocol: how to judge; by default one split that holds out a tenth, by system.
        seed: of splits and models.
        selection: how ``rfr`` and ``gbr`` select features: ``fitted`` by correlation in every
            training part, or ``published``, the list of Table S2.
        predict: a second data set. A model that learns from all records of the first predicts it,
            into ``predictions-<its name>.csv`` (``sys_name, prediction_eV, std_eV``).
        one_path: use one record of each system.
        skip_bad: leave out records that cannot be used.
        resume: go on with a run that was interrupted.
        workers: processes that compute features.
        progress: show a progress bar.

    Returns:
        The contents of ``metrics.json``.

    Raises:
        InputError: an unknown model, unusable data, a run folder that exists, or an optional
            package that is missing.
    """
    model = find_baseline(name)
    _check_selection(name, model, selection)
    protocol = protocol or Protocol()
    bands = labelled(load_bands(data, skip_bad=skip_bad))
    bands = one_path_each(bands) if one_path else bands
    parts = parts_of(bands, protocol, seed=seed, val=0.0, test=TEST)
    others = None if predict is None else load_bands(predict, skip_bad=skip_bad)
    if model.needs_structure:
        # Not only once there is a folder, which would be in the way of the next try.
        require_matminer()
    folder = Path(out)
    settings = {"seed": seed, "selection": selection, "one_path": one_path, "test": TEST}
    same: dict[str, object] = {
        "baseline": name,
        "protocol": protocol.as_dict(),
        "predict": None if others is None else others.fingerprint,
    }
    source = source_of(bands)
    notes = {"predict_path": None if others is None else str(others.path)}
    with held(folder):
        claim_folder(folder, settings, source, same, resume=resume)
        write_config(folder, settings, source, {**same, **notes}, PACKAGES)
    write_skipped(folder, [*bands.skipped, *(others.skipped if others else [])])
    table, failures = _table(model, bands, workers, progress)
    job = _Job(model, selection, bands, table)
    if others is not None:
        unseen, failed = _table(model, others, workers, progress)
        failures += failed
        rows = job.predict_others(seed, others, unseen)
        stem = others.path.name.split(".")[0]
        write_csv(folder / f"predictions-{stem}.csv", PREDICTED, rows)
    write_csv(folder / "failures.csv", Failure._fields, failures)
    metrics = judge(folder, name, bands, parts, job.answer)
    write_csv(folder / "features.csv", USED, job.used.rows())
    return metrics


def _check_selection(name: str, model: Baseline, selection: str) -> None:
    if selection not in SELECTIONS:
        raise InputError(
            f"unknown {selection!r}; known are {', '.join(SELECTIONS)}", field="selection"
        )
    if selection != SELECTIONS[0] and not model.selects:
        raise InputError(f"{name} selects no features", field="selection")


def _table(
    model: Baseline, bands: BandSet, workers: int | None, progress: bool
) -> tuple[Any, list[Failure]]:
    """A ``DataFrame`` of all that the model may look at, and what is missing in it."""
    import pandas as pd

    families = pd.DataFrame({CLASS: [band.family for band in bands.bands]})
    if model.features == (CLASS,):
        return families, []
    try:
        found = feature_table(
            bands.bands, structure=model.needs_structure, workers=workers, progress=progress
        )
    except InputError as error:
        raise error.at(file=bands.path) from None
    table = pd.DataFrame(found.values, columns=list(found.names))
    return table[list(model.features)], found.failures


@dataclass
class _Used:
    """Which features the models of a run used, and how much."""

    models: int = 0
    importance: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, fitted: Pipeline) -> None:
        names = [str(name) for name in fitted[:-1].get_feature_names_out()]
        values = importances(fitted)
        self.models += 1
        for name, value in zip(names, values or [float("nan")] * len(names), strict=True):
            self.importance[name].append(value)

    def rows(self) -> list[tuple[object, ...]]:
        """Of ``features.csv``, the most used and most important ones first."""
        found = [(name, len(v), float(np.mean(v))) for name, v in self.importance.items()]
        found.sort(key=lambda row: (-row[1], -np.nan_to_num(row[2])))
        return [
            (n, count, self.models, None if np.isnan(x) else round(x, 6), n in PUBLISHED_FEATURES)
            for n, count, x in found
        ]


@dataclass(frozen=True, eq=False)
class _Job:
    """What all parts of a run share."""

    model: Baseline
    selection: str
    bands: BandSet
    table: Any
    used: _Used = field(default_factory=_Used)

    def answer(self, folder: Path, part: Part) -> Mapping[str, Answer]:
        # Where there is no test part, validation records judge, and teach nothing.
        judged = "test" if part.split.test else "val"
        known = part.split.train + (part.split.val if judged == "test" else [])
        fitted = self._fitted(part.seed, known)
        self.used.add(fitted)
        # Of one split alone the training part tells something, too: how much was learned by heart.
        splits = (judged,) if part.label else ("train", judged)
        return {
            split: _answer(fitted, self.table.iloc[getattr(part.split, split)]) for split in splits
        }

    def predict_others(self, seed: int, others: BandSet, table: Any) -> list[tuple[object, ...]]:
        """Names, barriers and their spread (eV) by a model that learns from all records."""
        fitted = self._fitted(seed, list(range(len(self.bands.bands))))
        values, std = _answer(fitted, table)
        spreads = [None] * len(values) if std is None else std
        return [
            (band.name, round(value, 6), None if spread is None else round(spread, 6))
            for band, value, spread in zip(others.bands, values, spreads, strict=True)
        ]

    def _fitted(self, seed: int, positions: list[int]) -> Pipeline:
        targets = [self.bands.bands[p].target for p in positions]
        try:
            return self.model.pipeline(seed, self.selection).fit(
                self.table.iloc[positions], np.array(targets, dtype=np.float64)
            )
        except InputError as error:
            raise error.at(file=self.bands.path) from None


def _answer(fitted: Pipeline, table: Any) -> Answer:
    spread = spread_of_trees(fitted, table)
    values = [float(value) for value in fitted.predict(table)]
    return Answer(values, None if spread is None else spread.tolist())
