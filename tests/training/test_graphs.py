"""The cache of graphs: never wrong, whatever is done to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

import linegraph
from linegraph import CrystalGraph, InputError
from linegraph.structure import Cell
from tests.bands import rock_salt_band, some_bands
from training import graphs as module
from training.bands import Band
from training.graphs import GraphSet, build_graphs, count_triplets, default_cache, load_graphs

VIEWS = ("initial", "final", "band", "local", "path")
SETTINGS: dict[str, Any] = {"canonical": False, "shell_tol": 1e-3, "lattice_decimals": None}
BANDS = some_bands(4)
FIVE = some_bands(5)


def load(cache: Path, bands: list[Band] = BANDS, fingerprint: str = "f", **more: Any) -> GraphSet:
    values = {"views": VIEWS, "settings": SETTINGS, "workers": 1, "progress": False, **more}
    return load_graphs(bands, fingerprint, cache=cache, **values)


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records a file. Other processes do not see this, but they are given whole files."""
    monkeypatch.setattr(module, "SHARD", 2)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records were built, call by call."""
    calls: list[int] = []
    build = module.build_graphs

    def counted(bands: Any, *args: Any) -> GraphSet:
        calls.append(len(bands))
        return build(bands, *args)

    monkeypatch.setattr(module, "build_graphs", counted)
    return calls


def assert_same(found: GraphSet, expected: GraphSet) -> None:
    assert found.views == expected.views
    assert found.triplets == expected.triplets
    assert len(found.graphs) == len(expected.graphs)
    for ours, theirs in zip(found.graphs, expected.graphs, strict=True):
        assert list(ours) == list(theirs)
        for view, graph in theirs.items():
            assert isinstance(ours[view], CrystalGraph)
            assert sorted(ours[view].keys()) == sorted(graph.keys())
            for name in graph.keys():  # noqa: SIM118
                assert ours[view][name].dtype == graph[name].dtype
                # A feature that does not exist is NaN.
                pair = ours[view][name].nan_to_num(-1), graph[name].nan_to_num(-1)
                assert torch.equal(*pair), name


def test_second_time_is_read(tmp_path: Path, builds: list[int]) -> None:
    first, second = load(tmp_path), load(tmp_path)
    assert builds == [4]
    assert "edge_end" in second.graphs[0]["band"]
    assert_same(second, first)
    assert_same(second, build_graphs(BANDS, VIEWS, SETTINGS))


def test_read_graphs_make_batches_and_line_graphs(tmp_path: Path) -> None:
    built = load(tmp_path)
    read = load(tmp_path)
    for view in VIEWS:
        ours = linegraph.LineGraph()(Batch.from_data_list([g[view] for g in read.graphs]))
        theirs = linegraph.LineGraph()(Batch.from_data_list([g[view] for g in built.graphs]))
        assert torch.equal(ours["line_index"], theirs["line_index"])
        assert torch.equal(ours.edge_ptr, theirs.edge_ptr)
        assert torch.equal(ours.line_ptr, theirs.line_ptr)
    total = [sum(linegraph.LineGraph()(g[v]).num_triplets for v in VIEWS) for g in read.graphs]
    assert read.triplets == total


def test_triplets_are_counted_without_being_made() -> None:
    # One atom: all bonds join it to its own images, those of its own twice.
    fcc = Cell([[0, 2, 2], [2, 0, 2], [2, 2, 0]], [[0.0, 0, 0]], [13])
    for canonical in (False, True):
        for cell in (fcc, rock_salt_band()):
            graph = linegraph.crystal_graph(cell, canonical=canonical)
            assert count_triplets(graph) == linegraph.LineGraph()(graph.clone()).num_triplets


CHANGES: dict[str, Callable[[Path], GraphSet]] = {
    "other file": lambda cache: load(cache, fingerprint="g"),
    "other tolerance": lambda cache: load(cache, settings={**SETTINGS, "shell_tol": 0.1}),
    "other edge list": lambda cache: load(cache, settings={**SETTINGS, "canonical": True}),
    "other views": lambda cache: load(cache, views=("band",)),
    "other order of views": lambda cache: load(cache, views=VIEWS[::-1]),
    "fewer records": lambda cache: load(cache, bands=BANDS[:3]),
    "other order": lambda cache: load(cache, bands=BANDS[::-1]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_anything_else_is_built(name: str, tmp_path: Path, builds: list[int]) -> None:
    load(tmp_path)
    changed = CHANGES[name](tmp_path)
    assert len(builds) == 2
    assert_same(CHANGES[name](tmp_path), changed)
    assert len(builds) == 2
    assert_same(load(tmp_path), build_graphs(BANDS, VIEWS, SETTINGS))
    assert len(builds) == 2


def test_other_version_is_built(
    tmp_path: Path, builds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path)
    monkeypatch.setattr(module, "GRAPH_VERSION", module.GRAPH_VERSION + 1)
    load(tmp_path)
    assert len(builds) == 2


def test_a_file_under_another_name_is_not_taken(tmp_path: Path, builds: list[int]) -> None:
    load(tmp_path)
    (mine,) = tmp_path.iterdir()
    load(tmp_path, fingerprint="g")
    (other,) = set(tmp_path.iterdir()) - {mine}
    other.write_bytes(mine.read_bytes())
    load(tmp_path, fingerprint="g")
    assert len(builds) == 3


def flip(position: float) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[min(int(position * len(content)), len(content) - 1)] ^= 1
        return bytes(changed)

    return damage


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "empty": lambda content: b"",
    "garbage": lambda content: bytes(range(256)) * 100,
    "other header": lambda content: b"\xff" * 8 + content[8:],
    "first byte": flip(0),
    "middle": flip(0.5),
    "last byte": flip(1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_file_is_built_anew(name: str, tmp_path: Path, builds: list[int]) -> None:
    expected = load(tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(DAMAGES[name](content))
    assert_same(load(tmp_path), expected)
    assert len(builds) == 2
    assert_same(load(tmp_path), expected)
    assert len(builds) == 2


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    load(tmp_path)
    (path,) = tmp_path.iterdir()
    path.unlink()
    path.mkdir()
    with pytest.warns(UserWarning, match="not cached"):
        found = load(tmp_path)
    assert_same(found, build_graphs(BANDS, VIEWS, SETTINGS))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_unwritable_cache_only_warns(workers: int, tmp_path: Path, small_files: None) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not cached"):
        found = load(tmp_path / "file" / "cache", FIVE, workers=workers)
    assert_same(found, build_graphs(FIVE, VIEWS, SETTINGS))


def test_full_disk_only_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="safetensors: cannot be written .No space left"):
        found = load(tmp_path / "cache")
    assert_same(found, build_graphs(BANDS, VIEWS, SETTINGS))
    assert list((tmp_path / "cache").iterdir()) == []


def test_file_lost_as_soon_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_shard", lambda *args: None)
    assert_same(load(tmp_path), build_graphs(BANDS, VIEWS, SETTINGS))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_several_files(workers: int, tmp_path: Path, small_files: None, builds: list[int]) -> None:
    expected = build_graphs(FIVE, VIEWS, SETTINGS)
    found = load(tmp_path, FIVE, workers=workers)
    assert_same(found, expected)
    assert len(list(tmp_path.iterdir())) == 3
    # In this process: that of the other processes is not seen here.
    assert builds == ([2, 2, 1] if workers < 2 else [])
    builds.clear()
    assert_same(load(tmp_path, FIVE, workers=workers), expected)
    assert builds == []


def test_no_records(tmp_path: Path) -> None:
    found = load(tmp_path, [])
    assert (len(found.graphs), found.triplets) == (0, [])
    assert list(tmp_path.iterdir()) == []


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Of every file which one it is, and when it was written."""
    return {f.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in folder.iterdir()}


@pytest.mark.parametrize("how", ["missing", "truncated", "last byte"])
@pytest.mark.parametrize("which", [[0], [1], [2], [0, 2]])
def test_only_what_is_damaged_is_rebuilt(
    which: list[int], how: str, tmp_path: Path, small_files: None, builds: list[int]
) -> None:
    # In the order of the records: each load adds one file.
    order: list[Path] = []
    for end in (2, 4, 5):
        load(tmp_path, FIVE[:end])
        order += sorted(set(tmp_path.iterdir()) - set(order))
    assert builds == [2, 2, 1]
    before = states(tmp_path)
    for number in which:
        content = order[number].read_bytes()
        if how == "missing":
            order[number].unlink()
        else:
            order[number].write_bytes(DAMAGES[how](content))
    builds.clear()
    assert_same(load(tmp_path, FIVE), build_graphs(FIVE, VIEWS, SETTINGS))
    assert builds == [[2, 2, 1][number] for number in which]
    after = states(tmp_path)
    assert sorted(after) == sorted(before)
    for number, path in enumerate(order):
        assert (after[path.name] == before[path.name]) == (number not in which)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, InputError("no"), MemoryError])
def test_interrupted_building_keeps_what_is_finished(
    interruption: Any,
    tmp_path: Path,
    small_files: None,
    builds: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = module.build_graphs

    def interrupted(*args: Any) -> GraphSet:
        if len(builds) == 2:
            raise interruption
        return build(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, "build_graphs", interrupted)
        with pytest.raises((KeyboardInterrupt, InputError, MemoryError)):
            load(tmp_path, FIVE)
    before = states(tmp_path)
    assert len(before) == 2
    builds.clear()
    assert_same(load(tmp_path, FIVE), build_graphs(FIVE, VIEWS, SETTINGS))
    assert builds == [1]
    assert before.items() <= states(tmp_path).items()


@pytest.mark.parametrize(
    "case",
    [
        (None, 8, 4, 1),  # all in one file
        (None, 8, 5, 3),  # a process each
        (None, 2, 5, 2),
        (None, None, 5, 1),
        (0, 8, 5, 1),
        (1, 8, 5, 1),
        (2, 1, 5, 2),
    ],
)
def test_number_of_processes(
    case: tuple[int | None, int | None, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, cores, records, processes = case
    seen: list[int] = []
    parallel = module.joblib.Parallel

    def noted(n_jobs: int, **more: Any) -> Any:
        seen.append(n_jobs)
        return parallel(n_jobs=1, **more)

    monkeypatch.setattr(module.joblib, "Parallel", noted)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(module, "SHARD", 4 if records == 4 else 2)
    load(tmp_path, FIVE[:records], workers=workers)
    assert seen == [processes]


@pytest.mark.parametrize("workers", [1, 2])
def test_structure_no_graph_can_be_made_of_is_named(
    workers: int, tmp_path: Path, small_files: None
) -> None:
    lonely = Cell(np.diag([9e4, 9e4, 9e4]), [[0.1 * i, 0, 0] for i in range(5)], [3] * 5)
    bands = [*FIVE, Band("lonely", lonely)]
    with pytest.raises(InputError, match="record 'lonely'") as caught:
        load(tmp_path, bands, workers=workers)
    assert caught.value.record == "'lonely'"
    # Other processes are ended where they are.
    if workers == 1:
        assert len(list(tmp_path.iterdir())) == 2
    assert_same(load(tmp_path, FIVE), build_graphs(FIVE, VIEWS, SETTINGS))


def test_changes_of_a_graph_never_reach_the_file(tmp_path: Path) -> None:
    found = load(tmp_path)
    graph = found.graphs[1]["band"]
    graph["more"] = torch.ones(1)
    graph.pos = graph.pos + 1
    assert "more" not in found.graphs[1]["band"]
    graph["edge_vec"] *= 2
    assert_same(load(tmp_path), build_graphs(BANDS, VIEWS, SETTINGS))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEGRAPH_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert default_cache() == Path("/a")
    monkeypatch.delenv("LINEGRAPH_CACHE")
    assert default_cache() == Path("/b/linegraph")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path(os.path.expanduser("~")) / ".cache" / "linegraph"
