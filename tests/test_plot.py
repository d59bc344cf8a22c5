"""Figures show the images and curves that they are given."""

import numpy as np
import pytest
import torch

from dipops import Identity, NoPrior, Problem, plot, solve
from dipops.errors import BadValue

X = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3])
def test_uncertainty_and_true_error_are_drawn_on_one_scale(channels: int) -> None:
    truth = X[:channels]
    mean, std = truth + 0.1, torch.full_like(truth, 0.25)
    figure = plot.uncertainty(mean[None], std[None], truth)
    image, drawn, error = (axes.images[0] for axes in figure.axes[:3])
    assert float(np.asarray(drawn.get_array()).mean()) == pytest.approx(0.25)
    assert float(np.asarray(error.get_array()).mean()) == pytest.approx(0.1, abs=1e-6)
    assert drawn.get_clim() == error.get_clim() == (0, pytest.approx(0.25))
    assert "dB" in figure.axes[0].get_title()
    assert np.asarray(image.get_array()).shape[:2] == (12, 16)
    assert len(plot.uncertainty(mean, std).axes) == 3  # two images and the colour bar


def test_an_uncertainty_of_other_shapes_is_refused() -> None:
    with pytest.raises(BadValue, match=r"std \(3, 12, 12\).*one by one"):
        plot.uncertainty(X, X[..., :12])
    with pytest.raises(BadValue, match="one image each"):
        plot.uncertainty(torch.stack([X, X]), torch.stack([X, X]))


def test_images_have_their_psnr_below() -> None:
    figure = plot.compare({"noisy\nσ = 25": X + 0.1, "truth": X}, X)
    lines = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert figure.axes[0].get_title() == "noisy"
    assert lines[0].startswith("σ = 25\n")
    assert lines[0].endswith("dB")
    with pytest.raises(BadValue, match="no images"):
        plot.compare({})


def test_a_trace_has_one_line_for_each_curve() -> None:
    result = solve(Problem(Identity(X.shape), X, truth=X), NoPrior(), steps=5, progress=False)
    figure = plot.trace({"none": result})
    assert len(figure.axes) == 2
    assert len(figure.axes[0].lines[0].get_xdata()) == 5
