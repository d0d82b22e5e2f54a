"""The SLURM script of the docs, with stand-ins for what SLURM brings."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bands import settings
from tests.integration.command import ROOT
from training.callbacks import read_history

#: Called with all words; srun starts them, scontrol names the machine or notes what it was asked.
STAND_INS = {
    "srun": 'exec "$@"',
    "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
    "scontrol": 'if [[ $1 == show ]]; then echo localhost; else echo "$@" >> "$NOTED"; fi',
}


def script() -> str:
    (found,) = re.findall(
        r"^```bash\n(#!/bin/bash.*?)^```", (ROOT / "docs/scale-out.md").read_text(), re.S | re.M
    )
    return str(found)


@pytest.mark.slow
def test_stopped_queued_again_and_gone_on_with(tmp_path: Path, data: Path) -> None:
    run, noted = tmp_path / "run", tmp_path / "noted"
    for name, text in STAND_INS.items():
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/bash\n{text}\n")
        file.chmod(0o755)
    words = " ".join(["train", "--data", str(data), "--out", str(run), *settings(epochs=60)])
    text = re.sub(r"(?m)^command=\(.*\)$", f"command=({words})", script())
    text = re.sub(r"(?m)^run=.*$", f"run={run}", text)
    assert text.count(str(run)) == 2
    (tmp_path / "job.sh").write_text(text)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "NOTED": str(noted),
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_NNODES": "1",
        "SLURM_GPUS_ON_NODE": "2",
    }

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", tmp_path / "job.sh"], env=environment, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    job = start()
    until = time.monotonic() + 120
    while len(read_history(run / "history.csv")) < 4:
        assert job.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    _, err = job.communicate(timeout=90)
    assert f"--resume --out {run}" in err
    assert noted.read_text() == f"requeue {os.getpid()}\n"
    rows = len(read_history(run / "history.csv"))
    assert 4 <= rows < 60

    out, err = start().communicate(timeout=300)
    assert f"run folder   {run}" in out, err
    assert len(read_history(run / "history.csv")) == 60
    assert len(noted.read_text().splitlines()) == 1
