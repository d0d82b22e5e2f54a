"""The commands that are killed, each on data so small that it takes a second or two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from linegraph.ensemble_file import save_ensemble
from tests.bands import data_file, settings
from tests.ensembles import ensemble_of
from tests.linegraph.test_hops import structure
from tests.property_data import TINY_MPT, property_folder
from tests.training.neb_calculators import wave_band
from training.records import write_bands
from training.starter import starter_bands

CALCULATOR = "tests.training.neb_calculators:WaveCalculator"


@dataclass(frozen=True)
class Command:
    """A command to be killed.

    Attributes:
        name: of a row of the table.
        words: of the command line, without the run folder.
        ways: kinds of :class:`tests.kills.harness.Kill`, in turn.
        trials: runs that are killed, once or twice each.
    """

    name: str
    words: list[str]
    ways: tuple[str, ...]
    trials: int


EVERY_WAY = ("time", "write", "before", "time", "after")


def commands(folder: Path) -> list[Command]:
    """All of them, with data in a folder, which is created."""
    folder.mkdir()
    some = ("write", "time")
    return [
        Command("train", train_words(folder), EVERY_WAY, 8),
        Command("train --folds 3", [*train_words(folder, 3), "--folds", "3"], EVERY_WAY, 6),
        # Helpers take longer to begin than all epochs take: few random times fall between these.
        Command("train --workers 2", train_words(folder, workers=2), ("before", "after", *some), 4),
        Command("pretrain", pretrain_words(folder), EVERY_WAY, 6),
        Command("baseline", baseline_words(folder), EVERY_WAY, 5),
        Command("neb", neb_words(folder), EVERY_WAY, 6),
        Command("screen", screen_words(folder), EVERY_WAY, 6),
        Command("screen --workers 2", screen_words(folder, workers=2), some, 2),
    ]


def train_words(folder: Path, epochs: int = 6, workers: int = 0) -> list[str]:
    """A training on a dozen bands, for which the folder is."""
    data = folder / "bands.json"
    if not data.exists():
        data_file(data)
    sizes = settings(epochs=epochs, lr=0.05)
    return ["train", "--data", str(data), *sizes, "--workers", str(workers)]


def pretrain_words(folder: Path, epochs: int = 6) -> list[str]:
    """A pre-training on thirty crystals."""
    data = folder / "properties"
    if not data.exists():
        property_folder(data)
    values = {**TINY_MPT, "epochs": epochs}
    sizes = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return ["pretrain", "--data", str(data), *sizes, "--workers", "0"]


def baseline_words(folder: Path) -> list[str]:
    """A baseline for which features of a dozen structures are computed first."""
    data = folder / "bands.json"
    if not data.exists():
        data_file(data)
    return ["baseline", "gbr", "--data", str(data), "--folds", "3", "--workers", "1"]


def neb_words(folder: Path, pause: float = 0.0) -> list[str]:
    """Bands of six records, one of which goes wrong; each evaluation may take longer."""
    data = folder / "waves.json"
    if not data.exists():
        hosts = ("O", "S", "Se", "Te", "Ar", "Cl")
        write_bands(data, [wave_band(f"r{host}", host) for host in hosts])
    words = ["neb", "--data", str(data), "--calculator", CALCULATOR]
    return [*words, "--calculator-option", f"pause={pause}"]


def screen_words(folder: Path, crystals: int = 6, workers: int = 1) -> list[str]:
    """A screening of one crystal in several sizes, and of a file that is none."""
    given, weights = folder / f"crystals-{crystals}", folder / "weights.safetensors"
    if not given.exists():
        given.mkdir()
        for number in range(crystals):
            salt = structure("LiF").get_primitive_structure()
            salt.scale_lattice(salt.volume * (1 + 0.001 * number))
            salt.to(filename=str(given / f"LiF_{number:03d}.cif"))
        (given / "notes.txt").write_text("no crystal\n")
    if not weights.exists():
        save_ensemble(weights, ensemble_of(starter_bands()[:14]))
    words = ["screen", str(given), "--weights", str(weights), "--max-length", "4"]
    return [*words, "--workers", str(workers)]
