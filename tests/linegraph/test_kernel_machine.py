from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from linegraph import InputError
from linegraph.nn import KernelMachine
from linegraph.nn.kernel_machine import matern
from linegraph.weights import fitting, read_tensors, write_tensors

NAN, INF = float("nan"), float("inf")

#: What a normal distribution has at these ranks.
AT = {0.0: -3.0, 0.125: -1.1503494, 0.25: -0.6744898, 0.375: -0.3186394, 0.5: 0.0,
      0.625: 0.3186394, 0.75: 0.6744898, 0.875: 1.1503494, 1.0: 3.0}  # fmt: skip


def machine() -> KernelMachine:
    """Two features, five quantiles and room for three records, of which two are there."""
    made = KernelMachine(features=2, supports=3, quantiles=5)
    made.load_state_dict(
        {
            "fill": torch.tensor([4.0, 8.0]),
            "quantile": torch.tensor([[0.0, 7], [2, 7], [4, 7], [4, 8], [8, 8]]),
            "support": torch.tensor([[0.0, 0], [1, 2], [0, 0]]),
            "seen": torch.ones(1, 2, dtype=torch.bool),
            "weight": torch.tensor([[2.0, -1, 0]]),
            "intercept": torch.tensor([0.5]),
            "decay": torch.tensor(0.25),
        }
    )
    return made


#: Features, and at which ranks they are.
RANKS = [
    ([0.0, 7.0], [0.0, 0.25]),
    ([-1.0, 6.9], [0.0, 0.0]),
    ([1.0, 7.5], [0.125, 0.625]),
    ([2.0, 8.0], [0.25, 0.875]),
    ([3.0, 8.1], [0.375, 1.0]),
    ([4.0, 7.0], [0.625, 0.25]),
    ([6.0, 7.0], [0.875, 0.25]),
    ([8.0, 7.0], [1.0, 0.25]),
    ([9.0, 7.0], [1.0, 0.25]),
    ([1e38, -1e38], [1.0, 0.0]),
    ([-INF, INF], [0.0, 1.0]),
    ([NAN, 7.0], [0.625, 0.25]),
    ([NAN, NAN], [0.625, 0.875]),
]
X = torch.tensor([row for row, _ in RANKS])
SCORES = torch.tensor([[AT[rank] for rank in ranks] for _, ranks in RANKS])


def by_hand(scores: list[float]) -> float:
    """What :func:`machine` says of a record with these scores."""
    said = 0.5
    for support, weight in (([0, 0], 2), ([1, 2], -1)):
        far = math.sqrt(3) * 0.25 * math.dist(support, scores)
        said += weight * (1 + far) * math.exp(-far)
    return said


SAID = torch.tensor([by_hand(row) for row in SCORES.tolist()])


def test_scores_are_those_of_ranks() -> None:
    scores = machine().scores(X)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, SCORES, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_says_the_sum_by_hand(mode: type) -> None:
    with mode():
        said = machine()(X)
    assert said.shape == (len(X),) and said.dtype == torch.float32
    torch.testing.assert_close(said, SAID, rtol=1e-6, atol=1e-6)


def test_records_have_nothing_to_do_with_each_other() -> None:
    """To the last bit, in batches of any size."""
    random = torch.Generator().manual_seed(0)
    made = KernelMachine(features=5, supports=60)
    state = made.state_dict()
    state["quantile"].copy_(torch.randn(100, 5, generator=random).sort(dim=0).values)
    state["support"].normal_(generator=random)
    state["weight"].normal_(generator=random)
    x = torch.randn(200, 5, generator=random)
    whole = made(x)
    assert torch.equal(whole, torch.cat([made(row[None]) for row in x]))
    assert torch.equal(whole[:30], made(x[:30]))
    assert made(x[:0]).shape == (0,)


def test_equal_records_are_at_no_distance() -> None:
    """Products of matrices would leave a distance that rounding makes."""
    made = KernelMachine(features=40, supports=30)
    state = made.state_dict()
    state["quantile"].copy_(torch.linspace(0, 1, 100)[:, None].expand(-1, 40))
    x = torch.rand(30, 40, generator=torch.Generator().manual_seed(0))
    state["support"].copy_(made.scores(x))
    for k in range(30):
        state["weight"].copy_(torch.eye(30)[k : k + 1])
        assert made(x)[k] == 1


def test_input_is_left_as_it_is_and_no_gradient_flows() -> None:
    x = X.clone().requires_grad_()
    assert not machine()(x).requires_grad
    assert torch.equal(x.nan_to_num(7), X.nan_to_num(7))


def test_new_machine_says_zero() -> None:
    new = KernelMachine(features=2, supports=4)
    assert new(X).tolist() == [0.0] * len(X)
    assert new.quantile.shape == (100, 2)
    assert list(new.parameters()) == []
    new.load_state_dict(new.state_dict())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_every_precision_computes_in_float32(dtype: torch.dtype) -> None:
    """All numbers of this machine and its features are the same in half precision."""
    x = X.clamp(-100, 100).bfloat16()
    said = machine().to(dtype)(x.to(dtype))
    assert said.dtype == torch.float32
    assert torch.equal(said, machine()(x.float()))


def test_a_difference_that_only_float64_sees_is_none() -> None:
    made = machine().double()
    made.quantile[3, 1] = 8 - 1e-12
    x = torch.tensor([[4.0, 8 - 1e-13]], dtype=torch.float64)
    assert torch.equal(made(x), machine()(x.float()))


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 3), (1, 2, 2)])
def test_features_of_another_shape(shape: tuple[int, ...]) -> None:
    for attempt in (machine(), machine().scores):
        with pytest.raises(ValueError, match=r"expected \[B, 2\] features, got"):
            attempt(torch.zeros(shape))


@pytest.mark.parametrize("sizes", [(0, 1, 2), (1, 0, 2), (1, 1, 1), (-1, 2, 2), (1, 1, 2, 0)])
def test_sizes_out_of_range(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 feature, 1 support, 2 quantiles and 1 machine, not"):
        KernelMachine(*sizes)


def test_kernel() -> None:
    assert matern(torch.tensor([0.0, 1e30, INF]), 1.0).tolist() == [1, 0, 0]
    assert matern(torch.tensor([0.0, 1e30, INF]), torch.tensor(3e38)).tolist() == [1, 0, 0]
    distance = torch.linspace(0, 30, 500, dtype=torch.float64)
    alike = matern(distance, 0.7)
    assert alike.dtype == torch.float64 and (alike.diff() < 0).all()
    far = np.sqrt(3) * 0.7 * distance.numpy()
    np.testing.assert_allclose(alike.numpy(), (1 + far) * np.exp(-far), rtol=1e-14)


def test_far_from_all_supports_it_says_the_intercept() -> None:
    made = machine()
    made.support[:] = 1e30
    assert made(X).tolist() == [0.5] * len(X)
    near = machine()
    near.decay.fill_(1e6)
    assert near(X).tolist() == [0.5] * len(X)
    assert KernelMachine(2, 1).scores(torch.full((1, 2), INF)).tolist() == [[3, 3]]


def test_quantiles_farther_apart_than_float32_holds() -> None:
    made = KernelMachine(features=3, supports=1, quantiles=2)
    tiny = 1e-45  # the smallest number above 0
    made.quantile.copy_(torch.tensor([[-3e38, 0, 0], [3e38, tiny, 3e38]]))
    scores = made.scores(torch.tensor([[0.0, 0, 1.5e38], [1.5e38, 1, -1], [3e38, -1, 1e-40]]))
    expected = torch.tensor([[0, 0, 0], [0.6744898, 3, -3], [3, -3, -3]])
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-6)


def refused(change: dict[str, Tensor], problem: str) -> None:
    """A state with the change is refused and nothing of it is loaded."""
    made = KernelMachine(features=2, supports=3, quantiles=5)
    state = {**machine().state_dict(), **change}
    with pytest.raises(ValueError, match=problem):
        made.load_state_dict(state)
    assert torch.equal(made(X), torch.zeros(len(X)))
    # As part of a model, and of a file.
    with pytest.raises(InputError, match=problem) as caught, fitting(Path("w.safetensors")):
        nn.ModuleDict({"m": made}).load_state_dict({f"m.{k}": v for k, v in state.items()})
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=problem):
        machine().load_state_dict(change, strict=False)


def test_several_machines_say_their_mean() -> None:
    """Of the same records, each by the features that it sees."""
    made = KernelMachine(features=2, supports=3, quantiles=5, machines=3)
    one = machine().state_dict()
    seen = torch.tensor([[True, True], [True, False], [False, True]])
    weight = torch.tensor([[2.0, -1, 0], [1, 1, 0], [0, -3, 0]])
    several = {"seen": seen, "weight": weight, "intercept": torch.tensor([0.5, -0.25, 0.0])}
    made.load_state_dict({**one, **several})
    expected = []
    for columns, weights, intercept in zip(*several.values(), strict=True):
        # What is not seen is the same of all records.
        alone = machine()
        alone.weight[0], alone.intercept[0] = weights, intercept
        alone.support[:, ~columns] = 0
        x = torch.where(columns, X, torch.tensor([4.0, 7.5]))
        alone.quantile[:, ~columns] = torch.tensor([3.0, 7])[~columns]
        alone.quantile[3:, ~columns] = torch.tensor([5.0, 8])[~columns]
        alone.quantile[2, ~columns] = torch.tensor([4.0, 7.5])[~columns]
        assert not alone.scores(x)[:, ~columns].any()
        expected.append(alone(x))
    torch.testing.assert_close(made(X), torch.stack(expected).mean(0))


def test_a_machine_that_sees_nothing() -> None:
    refused({"seen": torch.zeros(1, 2, dtype=torch.bool)}, "sees no feature")
    refused({"seen": torch.ones(1, 2)}, "seen of a kernel machine is torch.float32")


def test_one_of_several_machines_that_sees_nothing() -> None:
    made = KernelMachine(features=2, supports=3, quantiles=5, machines=2)
    made.seen[1] = False
    with pytest.raises(ValueError, match="a machine of a kernel machine sees no feature"):
        KernelMachine(2, 3, 5, machines=2).load_state_dict(made.state_dict())
    made.seen[1, 1] = True
    KernelMachine(2, 3, 5, machines=2).load_state_dict(made.state_dict())


NAMES = ["fill", "quantile", "support", "weight", "intercept", "decay"]


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e300])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_are_not_finite(name: str, value: float) -> None:
    tensor = machine().state_dict()[name].double()
    tensor.view(-1)[-1] = value
    refused({name: tensor}, f"{name} of a kernel machine is NaN or infinite")


@pytest.mark.parametrize(("row", "column", "value"), [(0, 0, 2.5), (4, 1, 7.5), (2, 0, -9)])
def test_quantiles_that_do_not_ascend(row: int, column: int, value: float) -> None:
    changed = machine().quantile.clone()
    changed[row, column] = value
    problem = f"quantiles of feature {column} in a kernel machine do not ascend"
    refused({"quantile": changed}, problem)


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, 1e-60])
def test_kernels_that_do_not_fall(value: float) -> None:
    changed = torch.tensor(value, dtype=torch.float64)
    refused({"decay": changed}, "decay of a kernel machine is .*, not above 0")


@pytest.mark.parametrize("name", NAMES)
def test_tensors_of_another_kind(name: str) -> None:
    tensor = machine().state_dict()[name]
    refused({name: tensor[None]}, f"{name} of a kernel machine is no tensor of shape")
    refused({name: tensor.long()}, f"{name} of a kernel machine is torch.int64, not torch")


def test_missing_tensors_are_named() -> None:
    state = machine().state_dict()
    del state["weight"]
    with pytest.raises(RuntimeError, match='Missing key.*"weight"'):
        machine().load_state_dict(state)


def test_file_of_tensors(tmp_path: Path) -> None:
    path = tmp_path / "machine.safetensors"
    write_tensors(path, machine().state_dict(), {"format": "test"})
    _, state = read_tensors(path)
    made = KernelMachine(features=2, supports=3, quantiles=5)
    made.load_state_dict(state)
    assert torch.equal(made(X), machine()(X))
    again = tmp_path / "again.safetensors"
    write_tensors(again, made.state_dict(), {"format": "test"})
    assert again.read_bytes() == path.read_bytes()


def test_outline_takes_no_memory() -> None:
    with torch.device("meta"):
        outline = KernelMachine(features=2, supports=3, quantiles=5)
        large = KernelMachine(features=1 << 20, supports=1 << 20)
    assert all(tensor.is_meta for tensor in large.state_dict().values())
    assert {key: (t.shape, t.dtype) for key, t in outline.state_dict().items()} == {
        key: (t.shape, t.dtype) for key, t in machine().state_dict().items()
    }
    # Tensors without numbers break no rule.
    outline.load_state_dict(outline.state_dict())
    outline.load_state_dict(machine().state_dict(), assign=True)
    assert torch.equal(outline(X), machine()(X))


def test_copies_say_the_same() -> None:
    assert torch.equal(copy.deepcopy(machine())(X), machine()(X))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_on_a_gpu() -> None:
    made = machine().cuda()
    torch.testing.assert_close(made(X.cuda()).cpu(), SAID, rtol=1e-6, atol=1e-6)
    made.load_state_dict({key: tensor.cuda() for key, tensor in machine().state_dict().items()})
    torch.testing.assert_close(made.scores(X.cuda()).cpu(), SCORES, rtol=1e-6, atol=1e-6)
