"""Options that say by which records a model is judged."""

from __future__ import annotations

from functools import wraps
from typing import Any

import click


def protocol_options(command: Any) -> Any:
    """Add ``--folds``, ``--leave-out``, ``--repeats`` and ``--train-fraction``.

    The command gets them as one argument ``protocol``, a :class:`training.protocols.Protocol`.
    """

    @wraps(command)
    def gathered(
        folds: int | None,
        leave_out: str | None,
        repeats: int,
        train_fraction: float,
        **values: Any,
    ) -> Any:
        from .protocols import Protocol

        if folds and leave_out:
            raise click.UsageError("--folds and --leave-out part the records in different ways")
        protocol = Protocol(folds or 0, leave_out or "", repeats, train_fraction)
        return command(protocol=protocol, **values)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


_OPTIONS = (
    click.option(
        "--folds",
        type=click.IntRange(2),
        help="Cross-validate with so many folds, grouped by system, instead of a single run.",
    ),
    click.option(
        "--leave-out",
        type=click.Choice(["class", "ion"]),
        help="Leave out each material class, or each migrating ion, in turn, and predict it.",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(1),
        default=1,
        help="Do it so often, with seeds that count up from --seed.",
    ),
    click.option(
        "--train-fraction",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        help="Learn from this part of the training records only (drawn by system).",
    ),
)
