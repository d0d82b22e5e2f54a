from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from linegraph import InputError
from linegraph.nn import Forest
from linegraph.weights import fitting, read_tensors, write_tensors

NAN, INF = float("nan"), float("inf")


def forest() -> Forest:
    """Two trees of room for four leaves.

    The first asks for feature 0 (<= 1?), then on the right for feature 2 (<= -1?), then on its left
    for feature 0 again (<= 2?). The second asks for feature 2 (<= 0.5?) once.
    """
    made = Forest(features=3, trees=2, leaves=4)
    made.load_state_dict(
        {
            "fill": torch.tensor([5.0, 0.0, -4.0]),
            "feature": ints([[0, -1, 2, 0, -1, -1, -1], [2, -1, -1, -1, -1, -1, -1]]),
            "threshold": torch.tensor([[1.0, 0, -1, 2, 0, 0, 0], [0.5, 0, 0, 0, 0, 0, 0]]),
            "child": ints([[1, 0, 3, 5, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]]),
            "value": torch.tensor([[0.0, 10, 0, 0, 13, 11, 12], [0, 20, 21, 0, 0, 0, 0]]),
        }
    )
    return made


def ints(rows: list[list[int]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int16)


#: Features, and what the two trees say of them.
RECORDS = [
    ([0.0, 0.0, 0.0], [10.0, 20.0]),
    ([1.0, 0.0, 1.0], [10.0, 21.0]),
    ([1.5, 0.0, -1.0], [11.0, 20.0]),
    ([2.0, 0.0, -1.5], [11.0, 20.0]),
    ([2.5, 0.0, -1.5], [12.0, 20.0]),
    ([2.5, 0.0, -0.5], [13.0, 20.0]),
    ([1.5, 0.0, 0.5], [13.0, 20.0]),
    ([INF, -INF, INF], [13.0, 21.0]),
    ([-INF, INF, -INF], [10.0, 20.0]),
    ([NAN, 0.0, -1.5], [12.0, 20.0]),
    ([1.5, NAN, NAN], [11.0, 20.0]),
    ([NAN, NAN, NAN], [12.0, 20.0]),
]
X = torch.tensor([row for row, _ in RECORDS])
SAID = torch.tensor([row for _, row in RECORDS])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_records_go_down_by_hand_made_trees(mode: type) -> None:
    with mode():
        said = forest()(X)
    assert said.dtype == torch.float32
    assert said.tolist() == SAID.tolist()


def test_records_have_nothing_to_do_with_each_other() -> None:
    for row, said in RECORDS:
        assert forest()(torch.tensor([row])).tolist() == [said]
    assert forest()(X[:0]).shape == (0, 2)


def test_input_is_left_as_it_is_and_no_gradient_flows() -> None:
    x = X.clone().requires_grad_()
    assert not forest()(x).requires_grad
    assert torch.equal(x.nan_to_num(7), X.nan_to_num(7))


def test_new_forest_says_zero() -> None:
    new = Forest(features=3, trees=5, leaves=1)
    assert new(X).tolist() == [[0.0] * 5] * len(X)
    assert list(new.parameters()) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_precision_compares_in_float32(dtype: torch.dtype) -> None:
    """All numbers of this forest are the same in half precision."""
    said = forest().to(dtype)(X.to(dtype))
    assert said.dtype == torch.float32
    assert torch.equal(said, SAID)


def test_half_precision_rounds_thresholds_and_double_does_not() -> None:
    made = forest()
    made.threshold[0, 0] = 1.0001
    near = torch.tensor([[1.00005, 0.0, -1.0]])
    assert made(near)[0, 0] == 10
    assert copy.deepcopy(made).double()(near)[0, 0] == 10
    assert copy.deepcopy(made).half()(near)[0, 0] == 11
    # A difference that only float64 sees is none.
    more = made.threshold[0, 0].double() + 1e-12
    assert more > made.threshold[0, 0].double()
    assert made(torch.stack([more, more, -more])[None])[0, 0] == 10


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 4), (1, 2, 3)])
def test_features_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \[B, 3\] features, got"):
        forest()(torch.zeros(shape))


@pytest.mark.parametrize(
    "sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (32769, 1, 1), (1, 1, 16385), (-1, 2, 2)]
)
def test_sizes_out_of_range(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a forest has 1 to 32768 features"):
        Forest(*sizes)


def test_largest_sizes() -> None:
    """The last feature, asked for by a tree that is one long line of all nodes there may be."""
    leaves = 16384
    made = Forest(features=32768, trees=1, leaves=leaves)
    state = made.state_dict()
    state["feature"][0, :-1:2] = 32767
    state["child"][0, :-1:2] = torch.arange(1, 2 * leaves - 2, 2)
    state["threshold"][0, ::2] = torch.arange(leaves)
    state["value"][0] = torch.arange(2 * leaves - 1)
    made.load_state_dict(state)
    x = torch.zeros(3, 32768)
    x[:, -1] = torch.tensor([-1.0, 7.0, 1e9])
    assert made(x).flatten().tolist() == [1, 15, 2 * leaves - 2]


def refused(change: dict[str, Tensor], problem: str) -> None:
    """A state with the change is refused and nothing of it is loaded."""
    made = Forest(features=3, trees=2, leaves=4)
    state = {**forest().state_dict(), **change}
    with pytest.raises(ValueError, match=problem):
        made.load_state_dict(state)
    assert torch.equal(made(X), torch.zeros(len(X), 2))
    # As part of a model, and of a file.
    with pytest.raises(InputError, match=problem) as caught, fitting(Path("w.safetensors")):
        nn.ModuleDict({"trees": made}).load_state_dict({f"trees.{k}": v for k, v in state.items()})
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=problem):
        forest().load_state_dict(change, strict=False)


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e300])
@pytest.mark.parametrize("name", ["fill", "threshold", "value"])
def test_numbers_that_are_not_finite(name: str, value: float) -> None:
    tensor = forest().state_dict()[name].double()
    tensor[..., -1] = value
    refused({name: tensor}, f"{name} of a forest is NaN or infinite")


def test_numbers_that_half_precision_does_not_hold() -> None:
    """They would be infinite once loaded."""
    state = forest().state_dict()
    state["value"][0, 1] = 1e6
    forest().bfloat16().load_state_dict(state)
    with pytest.raises(ValueError, match="value of a forest is NaN or infinite"):
        forest().half().load_state_dict(state)


@pytest.mark.parametrize("feature", [3, 32767, -2, -32768])
def test_features_that_there_are_not(feature: int) -> None:
    changed = forest().feature.clone()
    changed[1, 0] = feature
    refused({"feature": changed}, "node 0 of tree 1 in a forest asks for none of 3 features")
    changed = forest().feature.clone()
    changed[0, 6] = feature
    refused({"feature": changed}, "node 6 of tree 0 in a forest asks for none of 3 features")


@pytest.mark.parametrize("child", [-32768, -1, 0, 1, 2, 6, 7, 32767])
def test_children_that_lead_nowhere_or_back(child: int) -> None:
    changed = forest().child.clone()
    changed[0, 2] = child
    refused({"child": changed}, "node 2 of tree 0 in a forest has children that do not come after")


def test_padding_that_asks_for_features_needs_children() -> None:
    changed = forest().feature.clone()
    changed[1, 5] = 0
    refused({"feature": changed}, "node 5 of tree 1 in a forest has children that do not come")


@pytest.mark.parametrize("name", ["fill", "feature", "threshold", "child", "value"])
def test_tensors_of_another_kind(name: str) -> None:
    tensor = forest().state_dict()[name]
    refused({name: tensor[..., :-1]}, f"{name} of a forest is no tensor of shape")
    refused({name: tensor.to(torch.int64)}, f"{name} of a forest is torch.int64, not torch")
    refused({name: tensor.to(torch.complex64)}, f"{name} of a forest is torch.complex64, not")


def test_other_precisions_are_loaded() -> None:
    state = forest().state_dict()
    for name in ("fill", "threshold", "value"):
        state[name] = state[name].double()
    made = Forest(features=3, trees=2, leaves=4)
    made.load_state_dict(state)
    assert made.value.dtype == torch.float32
    assert torch.equal(made(X), SAID)


def test_missing_tensors_are_named() -> None:
    state = forest().state_dict()
    del state["child"]
    with pytest.raises(RuntimeError, match='Missing key.*"child"'):
        forest().load_state_dict(state)


def test_loops_end_even_in_a_damaged_forest() -> None:
    """Whoever writes into buffers passes no check."""
    made = forest()
    made.child[0, 2] = 1
    made.feature[0, 1:3] = 0
    made.child[0, 1] = 0
    made.threshold[0] = 1e9
    assert made(X).shape == SAID.shape


def test_file_of_tensors(tmp_path: Path) -> None:
    path = tmp_path / "forest.safetensors"
    write_tensors(path, forest().state_dict(), {"format": "test"})
    about, state = read_tensors(path)
    assert about["format"] == "test"
    made = Forest(features=3, trees=2, leaves=4)
    made.load_state_dict(state)
    assert torch.equal(made(X), SAID)
    again = tmp_path / "again.safetensors"
    write_tensors(again, made.state_dict(), {"format": "test"})
    assert again.read_bytes() == path.read_bytes()


def test_outline_takes_no_memory() -> None:
    with torch.device("meta"):
        outline = Forest(features=3, trees=2, leaves=4)
        large = Forest(features=3, trees=1 << 20, leaves=16384)
    assert all(tensor.is_meta for tensor in large.state_dict().values())
    assert {key: (t.shape, t.dtype) for key, t in outline.state_dict().items()} == {
        key: (t.shape, t.dtype) for key, t in forest().state_dict().items()
    }
    # Tensors without numbers break no rule.
    outline.load_state_dict(outline.state_dict())
    outline.load_state_dict(forest().state_dict(), assign=True)
    assert torch.equal(outline(X), SAID)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_on_a_gpu() -> None:
    made = forest().cuda()
    assert torch.equal(made(X.cuda()).cpu(), SAID)
    made.load_state_dict({key: tensor.cuda() for key, tensor in forest().state_dict().items()})
    assert torch.equal(made(X.cuda()).cpu(), SAID)
