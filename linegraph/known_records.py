"""What a file of an ensemble says of the records it learned from: vectors, errors, a potential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .domain import Domain
from .embedding import head_width
from .intervals import Calibration
from .models import Model
from .nn import KernelMachine
from .potential import Correction, Potential

#: What names of tensors of a correction's machine begin with.
_MACHINE = "potential.machine."

#: Longest text on where a potential's barriers are from, characters.
_LONGEST = 500


def records_as_tensors(
    domain: Domain, calibration: Calibration
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The training records, and how wrong they were when they were held out.

    Returns:
        What JSON holds, and what tensors hold.
    """
    about = {"records": list(domain.names), **_numbers_of(calibration)}
    state = {
        "member": torch.from_numpy(domain.member),
        "embeddings": torch.from_numpy(domain.embeddings),
        "scores": torch.from_numpy(calibration.scores).float(),
    }
    return about, state


def read_records(
    about: Mapping[str, Any], rest: dict[str, Tensor], members: Sequence[Model]
) -> tuple[Domain, Calibration]:
    """What :func:`records_as_tensors` made.

    Args:
        about: what JSON holds.
        rest: tensors; those that are used are taken out.
        members: of the ensemble.

    Raises:
        InputError, KeyError, TypeError, ValueError: these do not belong together.
    """
    names = about["records"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("records is no list of names")
    if len(set(names)) < len(names):
        raise ValueError("two records have one name")
    member, embeddings, scores = (rest.pop(key) for key in ("member", "embeddings", "scores"))
    width = head_width(members[0])
    if embeddings.shape != (len(members), len(names), width) or scores.shape != (len(names),):
        raise ValueError(
            f"{len(members)} members, {len(names)} records and a head of {width} channels, but "
            f"embeddings {list(embeddings.shape)} and scores {list(scores.shape)}"
        )
    calibration = _calibration(about, scores, member)
    domain = Domain(tuple(names), calibration.member, embeddings.float().numpy())
    return domain, calibration


def potential_as_tensors(potential: Potential) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What was learned of a potential.

    Returns:
        What JSON holds, and what tensors hold.
    """
    about = {
        "source": potential.source,
        "mae": list(potential.mae),
        **_numbers_of(potential.calibration),
    }
    state = {
        "potential.member": torch.from_numpy(potential.calibration.member),
        "potential.scores": torch.from_numpy(potential.calibration.scores).float(),
    }
    machine = potential.correction.machine.state_dict()
    state |= {f"{_MACHINE}{name}": tensor for name, tensor in machine.items()}
    return {"potential": about}, state


def read_potential(
    about: Mapping[str, Any], rest: dict[str, Tensor], members: Sequence[Model]
) -> Potential:
    """What :func:`potential_as_tensors` made; arguments as of :func:`read_records`.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: this is nothing that can be learned of a
            potential.
    """
    told = about["potential"]
    if not isinstance(told, dict):
        raise TypeError("potential is nothing by name")
    source = told["source"]
    if not isinstance(source, str) or not source.isprintable() or len(source) > _LONGEST:
        raise TypeError("the source of a potential's barriers is no short text")
    before, after = map(float, told["mae"])
    if not (0 <= before < np.inf and 0 <= after < np.inf):
        raise ValueError(f"errors of {before} and {after} eV are out of range")
    member, scores = rest.pop("potential.member"), rest.pop("potential.scores")
    if member.ndim != 1 or not len(member) or scores.shape != member.shape:
        raise ValueError(
            f"members {list(member.shape)} and scores {list(scores.shape)} of a potential"
        )
    calibration = _calibration(told, scores, member)
    if not np.isin(calibration.member, np.arange(len(members))).all():
        raise ValueError("a record of a potential was held out by a member that is not there")
    return Potential(Correction(_machine(rest)), source, calibration, (before, after))


def _machine(rest: dict[str, Tensor]) -> KernelMachine:
    """The machine of a correction; its tensors are taken out."""
    names = [name for name in rest if name.startswith(_MACHINE)]
    state = {name.removeprefix(_MACHINE): rest.pop(name) for name in names}
    support = state["support"]
    if support.ndim != 2 or not len(support):
        raise ValueError(f"supports {list(support.shape)} of a potential")
    machine = KernelMachine(2, len(support))
    machine.load_state_dict(state)
    # No kernel is above 1: such a machine never says infinite minus infinite.
    if not torch.isfinite(machine.weight.abs().sum() + machine.intercept.abs().sum()):
        raise ValueError("weights of a potential's machine are too large")
    return machine


def _numbers_of(calibration: Calibration) -> dict[str, Any]:
    return {
        "offset": calibration.offset,
        "slope": calibration.slope,
        "reach": calibration.reach,
    }


def _calibration(about: Mapping[str, Any], scores: Tensor, member: Tensor) -> Calibration:
    offset, slope, reach = (float(about[key]) for key in ("offset", "slope", "reach"))
    if not (0 < offset < np.inf and 0 <= slope < np.inf and 0 <= reach < np.inf):
        raise ValueError(f"offset {offset}, slope {slope} or reach {reach} is out of range")
    if member.dtype != torch.int64 or (scores < 0).any():
        raise ValueError("members are not numbered, or scores are negative")
    return Calibration(offset, slope, reach, scores.double().numpy(), member.numpy())
