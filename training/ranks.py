"""Several processes that work on one run: who there is, what they tell each other, how they end.

``torchrun`` starts them. Each runs the same command; the first one alone prints and writes files.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from linegraph.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

#: Longer than anything the others have to wait for: that the first builds graphs, or predicts.
#: torchrun ends them all when one dies, so nobody waits for the dead.
PATIENCE = timedelta(days=1)

#: How long the others wait for the first to tell of an error before they do so themselves.
HESITATION = timedelta(seconds=10)


@dataclass(frozen=True)
class Ranks:
    """This process among those of a run.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
        local_rank: its number among those of the same machine.
        local_count: how many these are.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that prints and writes files."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        """On how many machines they run.

        Raises:
            InputError: on some there are more than on others.
        """
        if self.count % self.local_count:
            raise InputError(
                f"{self.count} processes, {self.local_count} of them on this machine: start as "
                "many on every one"
            )
        return self.count // self.local_count

    @classmethod
    def started(cls) -> Ranks:
        """What ``torchrun`` says to the processes it starts; one process without it."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return cls(*(int(os.environ[name]) for name in names))


_here = Ranks()
_store: Any = None


def here() -> Ranks:
    """This process within :func:`joined`; one that is alone outside it."""
    return _here


@contextmanager
def joined() -> Iterator[Ranks]:
    """Work together with the other processes that ``torchrun`` started; nothing without it.

    From here on all but the first are silent. When the block raises, in whichever process, the
    first tells of it if it still can, and all end: none before the first has told.
    """
    global _here, _store
    if _here.count > 1 or Ranks.started().count == 1:
        yield _here
        return
    import torch
    import torch.distributed as dist

    ranks = Ranks.started()
    if not ranks.first:
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        warnings.simplefilter("ignore")
    gpus = torch.cuda.is_available()
    store = next(dist.rendezvous("env://", ranks.rank, ranks.count, timeout=PATIENCE))[0]
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if gpus else "gloo",
        store=store,
        rank=ranks.rank,
        world_size=ranks.count,
        timeout=PATIENCE,
    )
    _here, _store = ranks, dist.PrefixStore("linegraph", store)
    if ranks.first:
        # By then it has printed what it has to print.
        atexit.register(_store.set, "told", "")
    try:
        yield ranks
        wait()
    except BaseException as error:
        cause = explained(error)
        if not ranks.first:
            _leave(error, lost=cause is not error, alone=not gpus)
        if cause is error:
            raise
        raise cause from error
    finally:
        _here = Ranks()
    dist.destroy_process_group()


def explained(error: BaseException) -> BaseException:
    """Why the other processes do not answer, if that is what an error says; else the error.

    Returns:
        of the first process what another one failed of, or a ``KeyboardInterrupt`` where that
        was killed; the error itself if it is one of this process.
    """
    if _here.count == 1 or not _is_loss(error):
        return error
    if not _here.first:
        return KeyboardInterrupt()
    # torchrun asks those that are left to go as soon as one has: not before the reason is told.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        _store.wait(["failed"], timedelta(seconds=1))
    except RuntimeError:
        print("another process of the run has ended", file=sys.stderr)
        return KeyboardInterrupt()
    kind, _, line = _store.get("failed").decode().partition(" ")
    return InputError(line) if kind == "input" else RuntimeError(line)


def wait() -> None:
    """Until all processes are here."""
    total(0)


def same(value: T) -> T:
    """What the first process has here, in all of them."""
    if _here.count == 1:
        return value
    import torch
    import torch.distributed as dist

    values = [value]
    dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def gathered(value: T) -> list[T]:
    """What every process has here, by its number, in all of them."""
    if _here.count == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * _here.count
    dist.all_gather_object(values, value)
    return values


def total(*numbers: int) -> list[int]:
    """Sums over all processes."""
    if _here.count == 1:
        return list(numbers)
    import torch
    import torch.distributed as dist

    sums = torch.tensor(numbers, dtype=torch.int64)
    dist.all_reduce(sums)
    return sums.tolist()


def one_a_machine_first(job: Callable[[], T]) -> T:
    """The result of a job that leaves files behind: the others of a machine then find these."""
    if _here.local_rank == 0:
        result = job()
        wait()
        return result
    wait()
    return job()


def add_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace gradients by their sums over all processes, in one exchange a type of numbers.

    A parameter that has one in no process has none afterwards.
    """
    if _here.count == 1:
        return
    import torch
    import torch.distributed as dist

    kinds: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            kinds.setdefault(parameter.dtype, []).append(parameter)
    for members in kinds.values():
        there = members[0].new_tensor([float(p.grad is not None) for p in members])
        grads = [_grad(p).flatten() for p in members]
        flat = torch.cat([there, *grads])
        dist.all_reduce(flat)
        there, *sums = torch.split(flat, [len(members), *(p.numel() for p in members)])
        for parameter, any_, summed in zip(members, there.tolist(), sums, strict=True):
            parameter.grad = summed.view_as(parameter).clone() if any_ else None


def _grad(parameter: nn.Parameter) -> Tensor:
    grad = parameter.grad
    return parameter.detach().new_zeros(parameter.shape) if grad is None else grad


def _is_loss(error: BaseException) -> bool:
    """Whether it says no more than that an exchange with another process failed."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _leave(error: BaseException, *, lost: bool, alone: bool) -> None:
    """Of a process that is not the first: say why, and wait until that is told.

    Args:
        error: of this process.
        lost: whether it is only that another one ended.
        alone: whether this ends the exchanges that others may be waiting in.
    """
    import torch.distributed as dist

    said = not lost and isinstance(error, Exception)
    kind = "input" if isinstance(error, InputError) else "internal"
    line = str(error) if kind == "input" else f"{type(error).__name__}: {error}"
    try:
        if said:
            _store.set("failed", f"{kind} {line}")
        if alone:
            dist.destroy_process_group()
        _store.wait(["told"], HESITATION)
    except RuntimeError:
        if said:
            print(f"error: process {_here.rank}: {line}", file=sys.__stderr__)
