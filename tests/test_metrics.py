"""The metrics against scikit-image and against closed forms."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dipops import images, metrics
from dipops.errors import BadType, BadValue
from dipops.testing.strategies import generators


@given(generators())
def test_psnr_and_ssim_agree_with_scikit_image(generator: torch.Generator) -> None:
    x, y = (torch.rand(2, 3, 16, 19, generator=generator, dtype=torch.float64) for _ in range(2))
    y = 0.8 * x + 0.2 * y
    for k in range(2):
        a, b = x[k].numpy(), y[k].numpy()
        assert float(metrics.psnr(y, x)[k]) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1), abs=1e-9)
        expected = structural_similarity(
            a, b, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert float(metrics.ssim(y, x)[k]) == pytest.approx(expected, abs=1e-7)


def test_equal_images_score_infinity_and_one() -> None:
    x = torch.rand(3, 12, 12)
    assert metrics.psnr(x, x).isinf()
    assert float(metrics.ssim(x, x)) == pytest.approx(1)


def test_luma_spans_16_to_235() -> None:
    ends = torch.stack([torch.zeros(3, 9, 9), torch.ones(3, 9, 9)])
    torch.testing.assert_close(metrics.luma(ends)[:, 0, 0, 0] * 255, torch.tensor([16.0, 235.0]))
    torch.testing.assert_close(metrics.luma(ends[:, :1])[:, 0, 0, 0] * 255, torch.tensor([16.0, 235.0]))


def test_psnr_y_leaves_the_border_out() -> None:
    x = torch.rand(3, 20, 20)
    y = x.clone()
    for edge in (y[:, :4], y[:, -4:], y[..., :4], y[..., -4:]):
        edge.zero_()
    assert metrics.psnr_y(y, x).isinf()
    shifted = metrics.psnr_y(x + 0.1, x)
    assert float(shifted) == pytest.approx(20 - 20 * torch.log10(torch.tensor(219 / 255)).item(), abs=1e-4)
    assert float(metrics.psnr_y(x + 0.1, x, border=0)) == pytest.approx(float(shifted), abs=1e-4)


@pytest.mark.data
def test_the_authors_noisy_images_have_the_psnr_they_report(data: Path) -> None:
    names = [path.name for path in (data / "denoising").glob("*.png")]
    scores = [
        metrics.psnr(*(images.load(data / folder / name) for folder in ("denoising_sigma25", "denoising"))) for name in names
    ]
    assert len(names) == 9
    assert float(torch.stack(scores).mean()) == pytest.approx(20.37, abs=0.01)


def test_metrics_refuse() -> None:
    with pytest.raises(BadType, match="divide 8-bit values by 255"):
        metrics.psnr(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8))
    with pytest.raises(BadValue, match="of the same size"):
        metrics.psnr(torch.rand(3, 8, 8), torch.rand(3, 8, 9))
    with pytest.raises(BadValue, match="at least 11 pixels"):
        metrics.ssim(torch.rand(3, 8, 8), torch.rand(3, 8, 8))
    with pytest.raises(BadValue, match="smaller border"):
        metrics.psnr_y(torch.rand(3, 8, 8), torch.rand(3, 8, 8))
