"""Peak memory of one side of one case, in a process of its own.

python -m benchmarks.memory WORKLOAD CASE SIDE OPTIONS
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from .compare import Options
from .registry import load_workload

ROOT = Path(__file__).resolve().parents[1]


class Memory(NamedTuple):
    """Bytes: resident on a CPU, allocated by PyTorch on a GPU.

    Attributes:
        before: when everything the side works on was ready.
        peak: at most, while it worked.
    """

    before: int
    peak: int

    @property
    def extra(self) -> int:
        """What the work itself needed."""
        return max(0, self.peak - self.before)


def peak_memory(workload: str, case: str, side: str, options: Options) -> Memory:
    """Memory that one run of a side takes, measured in a fresh process.

    In this process the memory of earlier work is still there for later work to use, so that its
    peak says little. The new process makes the cases of the workload up to the one asked for, notes
    what is resident, resets the kernel's mark of the peak (Linux: ``/proc/self/clear_refs``),
    runs the side once and reads the mark (``VmHWM``). Where the mark cannot be reset, it is that of
    the process (``ru_maxrss``), and what making the cases took at most hides what the work took
    below it. On a GPU it is the allocator's peak. What the first call of a library loads is
    counted in: tens of MiB.

    Args:
        workload: name in :data:`registry.MODULES`.
        case: name of one of its cases.
        side: name of one of its sides, which is here.
        options: as the workload is run with.

    Raises:
        RuntimeError: the process failed, out of memory for one; the message ends with its last
            words.
    """
    words = {**asdict(options), "data": str(options.data) if options.data else None}
    command = [sys.executable, "-m", "benchmarks.memory", workload, case, side, json.dumps(words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{workload}, {case}, {side}: status {done.returncode}, {last}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Memory(found["before"], found["peak"])


def peak_of(run: Callable[[], object], device: str = "cpu") -> Memory:
    """Memory that a call takes in this process; see :func:`peak_memory`."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return Memory(before, torch.cuda.max_memory_allocated())
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    run()
    return Memory(before, _resident("VmHWM"))


def _resident(field: str) -> int:
    """A line of ``/proc/self/status`` in bytes; elsewhere the peak of the whole process."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(arguments: Sequence[str]) -> None:
    """Print the memory of one run as JSON."""
    workload, name, side, text = arguments
    words = json.loads(text)
    options = Options(**{**words, "data": Path(words["data"]) if words["data"] else None})
    # Kept until the end: what a case works on may be gone with the generator that made it.
    cases = iter(load_workload(workload).cases(options))
    names = []
    for case in cases:
        if case.name == name:
            print(json.dumps(peak_of(case.runs[side], options.device)._asdict()))
            return
        names.append(case.name)
    raise SystemExit(f"{workload} has no case {name!r}; there are {', '.join(names)}")


if __name__ == "__main__":
    main(sys.argv[1:])
