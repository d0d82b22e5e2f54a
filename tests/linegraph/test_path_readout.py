"""From five images to one vector, the same from either end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from linegraph.nn import PathReadout

CHANNELS, HIDDEN = 6, 4


@pytest.fixture
def readout() -> PathReadout:
    torch.manual_seed(0)
    return PathReadout(CHANNELS, HIDDEN).double().eval()


def images(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 5, CHANNELS, generator=generator, dtype=torch.float64)


def test_the_way_back_is_the_same(readout: PathReadout) -> None:
    x = images()
    out = readout(x)
    assert out.shape == (3, 3 * HIDDEN)
    torch.testing.assert_close(readout(x.flip(1)), out)
    # But the ends are not exchanged with what is between.
    other = x[:, [1, 0, 2, 3, 4]]
    assert ((readout(other) - out).abs().amax(1) > 1e-3).all()


def test_by_hand(readout: PathReadout) -> None:
    x = images(1)
    h = [readout.image(torch.asinh(one)) for one in x[0]]
    scores = torch.cat([readout.score(one) for one in h])
    ends = (h[0] + h[4]) / 2
    top = sum(weight * one for weight, one in zip(scores.softmax(0), h, strict=True))
    between = torch.stack(h[1:4]).amax(0)
    expected = torch.cat([ends, top - ends, between - ends])
    torch.testing.assert_close(readout(x)[0], expected)


def test_equal_images_have_nothing_above_their_ends(readout: PathReadout) -> None:
    out = readout(images()[:, :1].expand(-1, 5, -1))
    torch.testing.assert_close(out[:, HIDDEN:], torch.zeros(3, 2 * HIDDEN).double())
    assert out[:, :HIDDEN].abs().max() > 0.01


def test_bands_do_not_meet(readout: PathReadout) -> None:
    x = images()
    torch.testing.assert_close(readout(x), torch.cat([readout(one[None]) for one in x]))


def test_loud_images_are_tamed(readout: PathReadout) -> None:
    """A million times as loud is heard some twenty times as loud at most."""
    x = images()
    assert readout(1e6 * x).abs().max() < 30 * readout(x).abs().max()


def test_dropout_only_while_training(readout: PathReadout) -> None:
    x = images()
    assert torch.equal(readout(x), readout(x))
    readout.train()
    assert not torch.equal(readout(x), readout(x))


def test_gradients(readout: PathReadout) -> None:
    assert torch.autograd.gradcheck(readout, images(2).requires_grad_())
