from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch_geometric.data import Batch

import linegraph
import linegraph.ensemble
import linegraph.ensemble_file
from linegraph.barrier import Barrier
from linegraph.domain import Domain
from linegraph.embedding import head_of, values_and_embeddings
from linegraph.ensemble import Ensemble
from linegraph.ensemble_file import load_ensemble, save_ensemble
from linegraph.intervals import calibrate
from linegraph.models import Model
from linegraph.structure import Cell
from linegraph.weights import load_weights, save_weights
from tests.bands import rock_salt_band
from tests.errors import message_of
from tests.threads import in_threads

CONFIG = {"hidden": 8, "alignn_layers": 1, "conv_layers": 1, "embedding": 6, "head": 4}
SETTINGS: dict[str, Any] = {"canonical": False, "max_neighbors": 6}
MEMBERS = 3

#: Training records, and hops that are none.
KNOWN = [rock_salt_band(("Li", "Na")[i % 2], "O", 4.0 + 0.1 * i, jitter=i) for i in range(12)]
NEW = [rock_salt_band("Mg", "S", 4.4 + 0.3 * i, jitter=50 + i) for i in range(3)]
NAMES = tuple(f"hop {i}" for i in range(12))


def model_of(seed: int, name: str = "MODEL-4") -> Model:
    torch.manual_seed(seed)
    model = linegraph.build_model(name, **CONFIG).eval()
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
        head_of(model).get_parameter("output.bias").fill_(0.7)
    return model


def seen(member: Model, bands: list[Cell]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """What a model says of bands, all in one batch."""
    graphs = [linegraph.views(band, member.views, **SETTINGS) for band in bands]
    batch = {view: Batch.from_data_list([g[view] for g in graphs]) for view in member.views}
    return values_and_embeddings(member, batch)


def made(name: str = "MODEL-4") -> Ensemble:
    members = tuple(model_of(seed, name) for seed in range(MEMBERS))
    member = np.arange(12) % MEMBERS
    said = [seen(one, KNOWN) for one in members]
    domain = Domain(NAMES, member, np.stack([vectors for _, vectors in said]))
    values = np.stack([value for value, _ in said])[member, np.arange(12)]
    errors = np.random.default_rng(0).normal(scale=0.1, size=12)
    calibration = calibrate(values + errors, values, domain.held_out, member)
    return Ensemble(name, CONFIG, SETTINGS, members, domain, calibration)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return made()


@pytest.fixture
def path(ensemble: Ensemble, tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    save_ensemble(file, ensemble)
    return file


def test_value_is_the_mean_of_the_members(ensemble: Ensemble) -> None:
    said = np.stack([seen(member, NEW)[0] for member in ensemble.members])
    barriers = ensemble.predict(NEW)
    assert [b.value for b in barriers] == pytest.approx(said.mean(axis=0).tolist(), abs=1e-6)
    assert said.std(axis=0).min() > 1e-3
    for barrier in barriers:
        assert barrier.low is not None
        assert barrier.high is not None
        assert 0 <= barrier.low < barrier.value < barrier.high
        assert (barrier.level, barrier.threshold) == (0.9, 0.65)


def test_embedding_is_what_the_head_reads(ensemble: Ensemble) -> None:
    for name in ("MODEL-1-CC", "MODEL-3", "MODEL-4", "SCRATCH-CC"):
        model: Any = model_of(3, name)
        values, vectors = seen(model, NEW)
        with torch.inference_mode():
            again = model.head(torch.from_numpy(vectors)).numpy()
        assert values == pytest.approx(again, abs=1e-6)
        assert not model.head._forward_pre_hooks


def test_interval_and_probability_are_those_of_the_calibration(ensemble: Ensemble) -> None:
    assert ensemble.calibration is not None
    assert ensemble.domain is not None
    said = [seen(member, NEW) for member in ensemble.members]
    distances, _ = ensemble.domain.place(np.stack([vectors for _, vectors in said]))
    found = ensemble.predict(NEW, level=0.8, threshold=0.75)
    for i, barrier in enumerate(found):
        values = np.array([value[i] for value, _ in said])
        expected = ensemble.calibration.distribution(values, distances[:, i])
        assert (barrier.low, barrier.high) == pytest.approx(expected.interval(0.8), abs=1e-5)
        assert barrier.below == pytest.approx(expected.below(0.75), abs=0.05)
        assert barrier.distance == pytest.approx(distances[:, i].mean(), abs=1e-5)
        assert (barrier.level, barrier.threshold) == (0.8, 0.75)
    line = message_of(lambda: ensemble.predict(NEW, level=0.95))
    assert "calibrated on 12 records" in line


def test_distances_by_hand(ensemble: Ensemble) -> None:
    domain = ensemble.domain
    assert domain is not None
    vectors = np.stack([seen(member, NEW)[1] for member in ensemble.members])
    held = np.zeros(12)
    apart = np.zeros((MEMBERS, 3, 12))
    for k in range(MEMBERS):
        known = [i for i in range(12) if i % MEMBERS != k]
        there = domain.embeddings[k].astype(np.float64)
        spread = there[known].std(axis=0)
        for i in range(12):
            if i % MEMBERS == k:
                held[i] = min(np.linalg.norm((there[i] - there[j]) / spread) for j in known)
            for b in range(3):
                apart[k, b, i] = np.linalg.norm((vectors[k, b] - there[i]) / spread)
    unit = np.quantile(held, 0.95)
    assert domain.held_out == pytest.approx(held / unit)
    distances, nearest = domain.place(vectors)
    learned = np.arange(12)[None] % MEMBERS != np.arange(MEMBERS)[:, None]
    assert distances == pytest.approx(np.where(learned[:, None], apart, np.inf).min(axis=2) / unit)
    for b, names in enumerate(nearest):
        mean = [apart[learned[:, i], b, i].mean() for i in range(12)]
        assert names == tuple(NAMES[i] for i in np.argsort(mean)[:3])


def test_training_record_is_its_own_nearest(ensemble: Ensemble) -> None:
    for name, barrier in zip(NAMES, ensemble.predict(KNOWN), strict=True):
        assert barrier.nearest[0] == name
        assert len(set(barrier.nearest)) == 3
        assert barrier.distance is not None
        # Only the member that had held it out is away from it.
        assert barrier.distance < 1
        assert not barrier.outside


def test_strange_hop_is_outside(ensemble: Ensemble) -> None:
    squeezed = Cell(KNOWN[0].lattice * 0.4, KNOWN[0].frac, [92] * len(KNOWN[0]))
    strange, ordinary = ensemble.predict([squeezed, KNOWN[0]])
    assert strange.outside
    assert not ordinary.outside
    assert Barrier(0.5).outside is None
    assert Barrier(0.5, distance=1.0).outside is False


def test_batches_change_nothing(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    together = ensemble.predict(NEW + KNOWN)
    monkeypatch.setattr(linegraph.ensemble, "BUDGET", 1)
    alone = ensemble.predict(NEW + KNOWN)
    for one, other in zip(together, alone, strict=True):
        assert one[:3] == pytest.approx(other[:3], abs=1e-4)
        assert one.nearest == other.nearest
    assert ensemble.predict([]) == []


def test_threads_share_an_ensemble(ensemble: Ensemble) -> None:
    """A member hands its vectors to the thread that asked it, and to no other."""
    bands = [*NEW, *KNOWN]
    alone = [ensemble.predict([band]) for band in bands]
    found = in_threads(lambda i: ensemble.predict([bands[i % 15]]), 60)
    assert found == [alone[i % 15] for i in range(60)]


def test_neither_moves_random_numbers_nor_hears_of_autocast(tmp_path: Path) -> None:
    """A training that predicts now and then goes on as it would have, and is told the same."""
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    shipped = load_ensemble()
    alone = shipped.predict(NEW)
    assert torch.rand(1) == expected
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert shipped.predict(NEW) == alone


def test_bad_bands(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    molecule = Cell(np.eye(3) * 5, [[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]], [3, 3])
    line = message_of(lambda: ensemble.predict([*NEW, molecule, *NEW]))
    assert line.startswith("record 3, field elements: a band starts with 5 images")
    monkeypatch.setattr(linegraph.ensemble, "BUDGET", 1)
    broken = replace(ensemble, members=(*ensemble.members[:2], model_of(9)))
    told: Any = broken.members[2]
    torch.nn.init.constant_(told.head.output.bias, float("nan"))
    assert message_of(lambda: broken.predict(NEW)) == "record 0: the prediction is NaN or infinite"
    if not torch.cuda.is_available():
        assert "no CUDA device" in message_of(lambda: ensemble.predict(NEW, device="cuda"))


@pytest.mark.parametrize("name", ["MODEL-4", "MODEL-1-ADD", "SCRATCH-MODEL-3"])
def test_what_is_saved_is_loaded(name: str, tmp_path: Path) -> None:
    one = made(name)
    file = tmp_path / "model.safetensors"
    save_ensemble(file, one)
    hops = [NEW[0], *KNOWN[:2]]
    said = one.predict(hops)
    for place in (file, str(file), tmp_path):
        other = load_ensemble(place)
        assert other.predict(hops) == said
    assert (other.name, other.config, other.graph_settings) == (name, CONFIG, SETTINGS)
    assert (len(other.members), other.records, other.calibrated) == (3, 12, True)
    assert other.views == one.views
    save_ensemble(tmp_path / "again.safetensors", other)
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_members_alone(ensemble: Ensemble, tmp_path: Path) -> None:
    bare = replace(ensemble, domain=None, calibration=None)
    file = tmp_path / "bare.safetensors"
    save_ensemble(file, bare)
    found = load_ensemble(file)
    assert (found.records, found.calibrated) == (0, False)
    expected = [Barrier(b.value, threshold=0.5) for b in ensemble.predict(NEW)]
    assert found.predict(NEW, threshold=0.5) == expected
    with pytest.raises(ValueError, match="together"):
        replace(ensemble, domain=None)


def test_single_model_is_an_ensemble_of_one(tmp_path: Path) -> None:
    model = model_of(1)
    save_weights(tmp_path / "model.safetensors", model, "MODEL-4", CONFIG, SETTINGS)
    found = load_ensemble(tmp_path)
    assert (found.records, found.calibrated, len(found.members)) == (0, False, 1)
    assert [b.value for b in found.predict(NEW)] == pytest.approx(seen(model, NEW)[0], abs=1e-6)
    assert found.predict(NEW)[0][1:] == (None, None, None, None, 0.65, None, (), None)


def test_default_weights(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(linegraph.ensemble_file, "DEFAULT", path)
    assert load_ensemble().records == 12
    monkeypatch.setattr(linegraph.ensemble_file, "DEFAULT", tmp_path / "none.safetensors")
    assert "give --weights" in message_of(load_ensemble)


def test_files_of_other_things(path: Path, tmp_path: Path) -> None:
    config = {**CONFIG, "properties": 2}
    file = tmp_path / "mpt.safetensors"
    save_weights(file, linegraph.build_model("MPT", **config), "MPT", config, SETTINGS, ("a", "b"))
    assert "predicts properties" in message_of(lambda: load_ensemble(file))
    assert "no such weights" in message_of(lambda: load_ensemble(tmp_path / "nowhere"))
    assert "one alone is in each fold" in message_of(lambda: load_weights(path))
    whole = path.read_bytes()
    for content in (b"", b"x" * 50, whole[: len(whole) // 2], whole + b"x"):
        path.write_bytes(content)
        assert "no readable safetensors file" in message_of(lambda: load_ensemble(path))


def rewrite(path: Path, about: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> None:
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["linegraph"])
    state = load_file(path)
    change(state)
    told = {key: value for key, value in {**told, **about}.items() if value != "gone"}
    save_file(state, path, {"linegraph": json.dumps(told)})


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({"format": "linegraph-ensemble-0"}, "holds several models"),
        ({"format": "other"}, "no linegraph model"),
        ({"members": 4}, "does not fit"),
        ({"members": 2}, "2 members, 12 records"),
        ({"members": 0}, "no members"),
        ({"members": "3"}, "does not fit"),
        ({"members": "gone"}, "does not fit"),
        ({"name": "MODEL-3"}, "does not fit"),
        ({"config": {**CONFIG, "hidden": 16}}, "does not fit"),
        ({"graph_settings": {"shells": 1}}, "'shells'"),
        ({"records": "gone"}, "unknown tensor"),
        ({"records": list(NAMES[:11])}, "3 members, 11 records"),
        ({"records": ["a"] * 12}, "two records have one name"),
        ({"records": [1] * 12}, "no list of names"),
        ({"records": "hop"}, "no list of names"),
        ({"offset": 0.0}, "out of range"),
        ({"offset": float("nan")}, "out of range"),
        ({"offset": None}, "does not fit"),
        ({"slope": -1}, "out of range"),
        ({"slope": "gone"}, "does not fit"),
        ({"reach": -0.1}, "out of range"),
    ],
)
def test_file_that_says_something_else(about: dict[str, Any], problem: str, path: Path) -> None:
    rewrite(path, about, lambda state: None)
    line = message_of(lambda: load_ensemble(path))
    assert line.startswith(str(path))
    assert problem in line


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda s: s.pop("scores"), "does not fit"),
        (lambda s: s.pop("embeddings"), "does not fit"),
        (lambda s: s.pop("members.1.head.output.bias"), "does not fit"),
        (lambda s: s.update(more=torch.zeros(1)), "unknown tensor more"),
        (lambda s: s["scores"].neg_(), "scores are negative"),
        (lambda s: s["scores"].fill_(float("nan")), "field scores: holds NaN"),
        (lambda s: s["embeddings"][1, 2].fill_(float("inf")), "field embeddings: holds NaN"),
        (lambda s: s["members.2.head.output.bias"].fill_(float("nan")), "field members.2.head"),
        (lambda s: s.update(scores=s["scores"][:11].clone()), "scores [11]"),
        (lambda s: s.update(embeddings=s["embeddings"][..., :7].clone()), "embeddings [3, 12, 7]"),
        (lambda s: s.update(member=s["member"].float()), "not numbered"),
        (lambda s: s["member"].fill_(3), "a member that is not there"),
        (lambda s: s["member"].fill_(1), "a member has no training records"),
        (lambda s: s.update(member=s["member"][:11].clone()), "members of shape (11,)"),
    ],
)
def test_damaged_tensors(change: Callable[[Any], Any], problem: str, path: Path) -> None:
    rewrite(path, {}, change)
    line = message_of(lambda: load_ensemble(path))
    assert line.startswith(str(path))
    assert problem in line
