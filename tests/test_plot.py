"""Figures show what they are given."""

import numpy as np
import pytest
import torch

from dipops import Identity, NoPrior, Problem, plot, solve
from dipops.errors import BadValue

X = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_uncertainty_is_drawn_beside_the_true_error_on_one_scale(channels: int) -> None:
    truth = X[:channels]
    mean, spread = truth + 0.1, torch.full_like(truth, 0.25)
    figure = plot.uncertainty(mean[None], spread[None], truth)
    picture, drawn, error = (axes.images[0] for axes in figure.axes[:3])
    assert float(np.asarray(drawn.get_array()).mean()) == pytest.approx(0.25)
    assert float(np.asarray(error.get_array()).mean()) == pytest.approx(0.1, abs=1e-6)
    assert drawn.get_clim() == error.get_clim() == (0, pytest.approx(0.25))
    assert "dB" in figure.axes[0].get_title()
    assert np.asarray(picture.get_array()).shape[:2] == (12, 16)
    assert len(plot.uncertainty(mean, spread).axes) == 3  # two pictures and the bar


def test_an_uncertainty_of_other_shapes_is_refused() -> None:
    with pytest.raises(BadValue, match=r"spread \(3, 12, 12\).*one by one"):
        plot.uncertainty(X, X[..., :12])
    with pytest.raises(BadValue, match="one picture each"):
        plot.uncertainty(torch.stack([X, X]), torch.stack([X, X]))


def test_pictures_stand_over_their_psnr() -> None:
    figure = plot.compare({"noisy\nσ = 25": X + 0.1, "truth": X}, X)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert figure.axes[0].get_title() == "noisy"
    assert words[0].startswith("σ = 25\n")
    assert words[0].endswith("dB")
    with pytest.raises(BadValue, match="no pictures"):
        plot.compare({})


def test_a_trace_has_one_line_for_each_curve() -> None:
    result = solve(Problem(Identity(X.shape), X, X), NoPrior(), steps=5, progress=False)
    figure = plot.trace({"none": result})
    assert len(figure.axes) == 2
    assert len(figure.axes[0].lines[0].get_xdata()) == 5
