"""Graphs in a file, and several files as one: they read like a list."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from linegraph import InputError
from tests.bands import some_bands
from tests.training.test_graphs import assert_same
from training.graphs import GraphSet, build_graphs
from training.shards import Joined, Shard, Views, fields_of, read_shard, write_shard

VIEWS = ("initial", "band", "path")
SETTINGS: dict[str, Any] = {"canonical": False, "shell_tol": 1e-3, "lattice_decimals": None}
# Of different compounds, so that no two records are alike.
BUILT = build_graphs(some_bands(5, per_system=1), VIEWS, SETTINGS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of five records."""
    file = tmp_path / "a.safetensors"
    write_shard(file, "key", VIEWS, BUILT.graphs, BUILT.triplets)
    return file


def opened(path: Path, views: tuple[str, ...] = VIEWS) -> Shard:
    found = read_shard(path, "key", views)
    assert found is not None
    return found[0]


def assert_graphs(found: Sequence[Views], positions: Sequence[int]) -> None:
    """These records of :data:`BUILT`, value by value."""
    expected = GraphSet(VIEWS, [BUILT.graphs[p] for p in positions], [])
    assert_same(GraphSet(VIEWS, found, []), expected)


def sequences(path: Path) -> list[Sequence[Views]]:
    return [opened(path), Joined([BUILT.graphs[:2], [], opened(path)[2:3], BUILT.graphs[3:]])]


def test_what_is_written_is_read(path: Path) -> None:
    found = read_shard(path, "key", VIEWS)
    assert found is not None
    assert found[1] == BUILT.triplets
    assert_graphs(found[0], range(5))
    # Any order, any number of times.
    for position in (3, 0, 3, 4):
        assert_graphs([found[0][position]], [position])


def test_every_field_of_a_graph_is_stored() -> None:
    for record in BUILT.graphs:
        for view, graph in record.items():
            assert set(graph.keys()) == set(fields_of(view))
    assert set(fields_of("path")) - set(fields_of("band")) == {"features"}


@pytest.mark.parametrize("which", [0, 1])
def test_they_read_like_a_list(which: int, path: Path) -> None:
    found = sequences(path)[which]
    assert len(found) == 5
    for position in range(-5, 5):
        assert_graphs([found[position]], [position])
    for part in (slice(None), slice(1, 3), slice(-2, None), slice(None, None, -2), slice(9, 12)):
        assert isinstance(found[part], list)
        assert_graphs(found[part], range(5)[part])
    assert_graphs(list(found), range(5))
    assert_graphs(list(reversed(found)), range(4, -1, -1))
    for position in (5, -6, 100):
        with pytest.raises(IndexError):
            found[position]
    wrong: Any = "0"
    with pytest.raises(TypeError):
        found[wrong]


@given(
    parts=st.lists(st.lists(st.integers(), max_size=4), max_size=6),
    start=st.none() | st.integers(-30, 30),
    stop=st.none() | st.integers(-30, 30),
    step=st.none() | st.integers(-5, 5).filter(bool),
)
def test_joined_parts(
    parts: list[list[Any]], start: int | None, stop: int | None, step: int | None
) -> None:
    flat = [value for part in parts for value in part]
    joined = Joined(parts)
    assert list(joined) == flat
    assert joined[start:stop:step] == flat[start:stop:step]
    assert list(Joined([joined, parts[0] if parts else []])) == flat + (parts[0] if parts else [])


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("which", [0, 1])
def test_they_survive_pickling(which: int, used: bool, path: Path) -> None:
    found = sequences(path)[which]
    if used:
        assert_graphs([found[2]], [2])
    again = pickle.loads(pickle.dumps(found))
    assert_graphs(again, range(5))
    # Opening it there does not close it here.
    assert_graphs(found, range(5))


def test_what_goes_to_other_processes_is_small(tmp_path: Path) -> None:
    path = tmp_path / "many.safetensors"
    write_shard(path, "key", VIEWS, [*BUILT.graphs] * 40, BUILT.triplets * 40)
    shard = opened(path)
    before = len(pickle.dumps(shard))
    assert len(list(shard)) == 200
    assert len(pickle.dumps(shard)) == before
    assert before < path.stat().st_size / 500


def test_reading_a_record_does_not_load_the_file(tmp_path: Path) -> None:
    """Memory of its own, besides the mapped file that the system can drop at any time."""
    status = Path("/proc/self/status")
    if not status.is_file() or "RssAnon" not in status.read_text():
        pytest.skip("memory is measured as Linux tells it")

    def memory() -> int:
        return int(status.read_text().split("RssAnon:")[1].split()[0]) * 1024

    path = tmp_path / "large.safetensors"
    write_shard(path, "key", VIEWS, [*BUILT.graphs] * 600, BUILT.triplets * 600)
    size = path.stat().st_size
    assert size > 40 * 2**20
    before = memory()
    shard = opened(path)
    kept = [shard[i] for i in range(0, 3000, 100)]
    assert memory() - before < size / 10
    assert_graphs(kept[:1], [0])


def test_other_views_of_the_same_file(path: Path) -> None:
    shard = opened(path, ("band",))
    assert len(shard) == 5
    for position, record in enumerate(shard):
        assert list(record) == ["band"]
        assert torch.equal(record["band"].edge_vec, BUILT.graphs[position]["band"].edge_vec)


def test_another_key_or_no_file(path: Path) -> None:
    assert read_shard(path, "other", VIEWS) is None
    assert read_shard(path.with_name("nowhere"), "key", VIEWS) is None
    assert read_shard(path.parent, "key", VIEWS) is None


def test_no_byte_of_the_header_can_be_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_shard(path, "key", VIEWS, BUILT.graphs[:1], BUILT.triplets[:1])
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    harmless = 0
    for position in range(0, header, 7):
        for bit in (0, 5):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            found = read_shard(path, "key", VIEWS)
            if found is not None:  # blanks around names are nobody's
                harmless += 1
                assert found[1] == BUILT.triplets[:1]
                assert_graphs(found[0], [0])
    assert harmless < 10


def test_file_that_cannot_be_written_stays_as_it_was(path: Path, tmp_path: Path) -> None:
    with pytest.raises((InputError, OSError, SafetensorError)):
        write_shard(tmp_path / "no" / "where", "key", VIEWS, BUILT.graphs, BUILT.triplets)
    before = path.read_bytes()
    other: Any = [{"initial": BUILT.graphs[0]["initial"]}]
    with pytest.raises(KeyError):
        write_shard(path, "key", VIEWS, other, [1])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
