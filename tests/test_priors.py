"""The priors: parameter counts of the paper, any size, independent members, penalties."""

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dipops import (
    DeepImagePrior,
    Descent,
    FiniteDifferences,
    Gaussian,
    GuidedInput,
    Hourglass,
    Identity,
    LanczosDownsampler,
    Laplace,
    LinearOperator,
    Mask,
    NoPrior,
    Poisson,
    Prior,
    Problem,
    Tikhonov,
    TotalVariation,
    solve,
)
from dipops.errors import BadType, BadValue
from dipops.noise import Noise as NoiseModel
from dipops.operators import Blur, Fourier, kernels
from dipops.priors.generators import DeepDecoder, ResNet, UNet, encoder_decoder, joining, layers
from dipops.priors.generators.interface import Generator, grouped_copies
from dipops.priors.generators.joining import Join
from dipops.priors.generators.layers import Padding, Upsampling, pad_by_slices
from dipops.priors.inputs import FourierFeatures, Guide, Meshgrid, Noise, Ramp
from dipops.testing.strategies import images

SIX = (16, 32, 64, 128, 128, 128)
TINY = Hourglass((4, 6), skips=(2, 0))

PAPER = {
    "default": (Hourglass(), 32, 3, 2_217_831),
    "JPEG": (Hourglass((8, 16, 32, 64, 128), (0, 0, 0, 4, 4)), 3, 3, 572_827),
    "zebra": (Hourglass(), 3, 3, 2_184_307),
    "text": (Hourglass(skips=128, upsampling="nearest"), 32, 3, 3_002_627),
    "50% missing": (Hourglass(), 32, 1, 2_217_573),
    "98% missing": (Hourglass((16, 32, 64, 128, 128), 0, downsampling="average"), 32, 3, 1_027_379),
    "vase": (Hourglass(skips=0, upsampling="nearest"), 2, 3, 2_157_955),
    "pre-image": (Hourglass(SIX, 4, ((7, 7, 5, 5, 3, 3),) * 2, "nearest", "average", "zeros"), 32, 3, 2_606_763),
    "activation": (
        Hourglass(SIX, (0, 4, 4, 4, 4, 4), ((5, 3, 5, 5, 3, 5), (5, 3, 5, 3, 5, 3)), "bilinear", "average"),
        *(32, 3, 2_948_567),
    ),
    "flash": (Hourglass(upsampling=("nearest", "nearest", "bilinear", "bilinear", "bilinear")), 3, 3, 2_184_307),
}

OTHERS = {
    "library, depth 6": (encoder_decoder(), 1, 3, 2_996_467),
    "library, depth 4": (encoder_decoder(SIX[:4]), 1, 3, 1_060_339),
    "library, depth 2": (encoder_decoder(SIX[:2]), 1, 3, 59_635),
    "library, U-Net": (UNet(), 1, 3, 1_616_315),
    "library, ResNet": (ResNet(), 1, 3, 158_979),
    "deep decoder": (DeepDecoder(), 128, 3, 100_224),  # Heckel and Hand, section 2
}
SMALL = {
    "Hourglass": TINY,
    "encoder-decoder": encoder_decoder((4, 6)),
    "UNet": UNet((4, 6, 8)),
    "ResNet": ResNet(4, 2),
    "DeepDecoder": DeepDecoder(6, 3),
}


@pytest.mark.parametrize("row", PAPER | OTHERS)
def test_generators_have_the_printed_parameters(row: str) -> None:
    config, inputs, outputs, count = (PAPER | OTHERS)[row]
    assert sum(parameter.numel() for parameter in config.build(inputs, outputs).parameters()) == count


@pytest.mark.parametrize("row", PAPER)
def test_the_padded_size_is_the_smallest_that_works(row: str) -> None:
    config, inputs, outputs, _ = PAPER[row]
    height, width = config.input_size((16, 70))
    unit = 2 ** len(config.channels)
    assert height >= 16
    assert width >= 70
    assert height % unit == width % unit == 0
    with torch.no_grad():
        assert config.build(inputs, outputs)(torch.rand(1, inputs, height, width)).shape == (1, outputs, height, width)
        if height // unit > -(-16 // unit) and config.padding == "reflect":
            with pytest.raises((RuntimeError, ValueError)):
                config.build(inputs, outputs)(torch.rand(1, inputs, height - unit, height - unit))


def test_the_hourglass_is_what_the_paper_describes() -> None:
    """Two scales written out with functions, from the weights in the order in which they are used."""
    network = Hourglass((4, 6), skips=(2, 0), upsampling=("nearest", "bilinear")).build(3, 1).double()
    z = torch.rand(1, 3, 16, 24, dtype=torch.float64)
    weights = iter(network.parameters())

    def conv(x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight, bias = next(weights), next(weights)
        reach = weight.shape[-1] // 2
        return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect") if reach else x, weight, bias, stride)

    def norm(x: torch.Tensor) -> torch.Tensor:
        scale, shift = (next(weights).view(1, -1, 1, 1) for _ in range(2))
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def block(x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        return F.leaky_relu(norm(conv(x, stride)), 0.2)

    skip = block(z)
    down = block(block(z, 2))
    deepest = F.interpolate(block(block(down, 2)), scale_factor=2, mode="bilinear", align_corners=False)
    coarse = block(block(norm(deepest)))
    fine = block(block(norm(torch.cat([skip, F.interpolate(coarse, scale_factor=2)], 1))))
    torch.testing.assert_close(network(z), conv(fine).sigmoid(), rtol=1e-10, atol=1e-10)
    assert next(weights, None) is None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("mode", "border"), [("reflect", 1), ("reflect", 3), ("replicate", 1), ("replicate", 2)])
@settings(max_examples=20)
@given(st.integers(4, 9), st.integers(4, 9))
def test_a_pad_by_slices_is_that_of_torch_in_the_same_layout(
    mode: Literal["reflect", "replicate"], border: int, layout: torch.memory_format, height: int, width: int
) -> None:
    x = torch.rand(1, 5, height, width).to(memory_format=layout).requires_grad_()
    found, expected = pad_by_slices(x, border, mode), F.pad(x, (border,) * 4, mode=mode)
    assert found.equal(expected)
    assert found.is_contiguous(memory_format=layout)
    weights = torch.rand_like(expected)
    one, other = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, expected))
    torch.testing.assert_close(one, other)
    assert one.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("config", [*SMALL.values(), Hourglass((4, 6), 2, upsampling="nearest")])
def test_networks_repeat_pixels_by_one_function(config: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that on CUDA pads by slices: otherwise a layout would be lost there, and nobody here would see it."""
    network, z = grouped_copies(config, 4, 3, [0]), torch.rand(1, 4, 16, 16)
    expected = network(z)
    for module in (layers, joining):
        monkeypatch.setattr(module, "pad", pad_by_slices)
    monkeypatch.setattr(F, "pad", _constant_only(F.pad))
    assert network(z).equal(expected)


def _constant_only(own: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def padded(x: torch.Tensor, sides: tuple[int, ...], mode: str = "constant") -> torch.Tensor:
        assert mode == "constant"
        return own(x, sides)

    return padded


MODES = ("nearest", "bilinear")


@settings(max_examples=20)
@given(st.sampled_from([0, 2]), st.sampled_from([1, 2]), st.integers(2, 6), st.integers(2, 6), st.sampled_from(MODES))
@pytest.mark.parametrize(("kernel", "padding"), [(1, "reflect"), (3, "reflect"), (3, "zeros"), (5, "zeros")])
def test_a_join_is_doubling_then_concatenation_then_normalisation_then_convolution(
    kernel: int, padding: Padding, skip: int, copies: int, height: int, width: int, mode: Upsampling
) -> None:
    """Also its gradients: where pixels are repeated, the doubling is not carried out."""
    join = Join(skip, 3, 4, kernel, mode, padding, copies).double()
    for parameter in join.requires_grad_().parameters():
        torch.nn.init.normal_(parameter)
    deeper = torch.rand(1, copies * 3, height, width, dtype=torch.float64, requires_grad=True)
    side = torch.rand(1, copies * skip, 2 * height, 2 * width, dtype=torch.float64, requires_grad=True)
    corners = False if mode == "bilinear" else None
    doubled = F.interpolate(deeper, scale_factor=2, mode=mode, align_corners=corners)
    parts = zip(side.chunk(copies, 1) if skip else [side] * copies, doubled.chunk(copies, 1), strict=True)
    expected = join.conv(join.norm(torch.cat([part for pair in parts for part in pair], 1)))
    found = join(deeper, side if skip else None)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    weights = torch.rand_like(expected)
    leaves = [deeper, *([side] if skip else []), *join.parameters()]
    for one, other in zip(*(torch.autograd.grad((y * weights).sum(), leaves) for y in (found, expected)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=12)
@given(st.integers(16, 40), st.integers(16, 40), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2]))
def test_pictures_of_any_size_channels_and_batch(name: str, height: int, width: int, channels: int, batch: int) -> None:
    problem = Problem(Identity((channels, height, width)), torch.rand(batch, channels, height, width))
    prior = DeepImagePrior(SMALL[name])
    prior.start(problem, list(range(batch)))
    assert prior().shape == problem.y.shape


@pytest.mark.parametrize("name", SMALL)
def test_every_generator_refuses_a_picture_too_small(name: str) -> None:
    with pytest.raises(BadValue, match=r"an image of 3 x 40 pixels; expected sides from \d+ pixels"):
        SMALL[name].input_size((40, 3))


def test_the_unet_is_what_it_says() -> None:
    """Two levels written out with functions, from the weights in the order in which they are used."""
    network, weights = _network_and_weights(UNet((4, 6)))
    z = torch.rand(1, 3, 16, 24, dtype=torch.float64)

    def pair(x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            x = F.relu(F.instance_norm(F.conv2d(x, next(weights), next(weights), padding=1)))
        return x

    fine = pair(z)
    coarse = F.conv_transpose2d(pair(F.avg_pool2d(fine, 2)), next(weights), next(weights), stride=2, padding=1)
    joined = pair(torch.cat([fine, coarse], 1))
    torch.testing.assert_close(network(z), F.conv2d(joined, next(weights), next(weights)).sigmoid(), rtol=1e-10, atol=1e-10)
    assert next(weights, None) is None


def test_the_resnet_is_what_it_says() -> None:
    network, weights = _network_and_weights(ResNet(4, 1))
    z = torch.rand(1, 3, 16, 24, dtype=torch.float64)

    def conv(x: torch.Tensor, bias: bool = True) -> torch.Tensor:
        return F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), next(weights), next(weights) if bias else None)

    def norm(x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, None, None, next(weights), next(weights), training=True)

    x = F.leaky_relu(conv(z), 0.2)
    x = x + norm(conv(F.leaky_relu(norm(conv(x, bias=False)), 0.2), bias=False))
    torch.testing.assert_close(network(z), conv(norm(conv(x))).sigmoid(), rtol=1e-10, atol=1e-10)
    assert next(weights, None) is None


def test_the_deep_decoder_is_what_it_says() -> None:
    network, weights = _network_and_weights(DeepDecoder(4, 2))
    z = torch.rand(1, 3, 5, 6, dtype=torch.float64)

    def mix(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, next(weights))

    def norm(x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, None, None, next(weights), next(weights), training=True)

    x = z
    for _ in range(2):
        x = norm(F.relu(F.interpolate(mix(x), scale_factor=2, mode="bilinear", align_corners=False)))
    x = norm(F.relu(mix(x)))
    assert network(z).shape == (1, 3, 20, 24)
    torch.testing.assert_close(network(z), mix(x).sigmoid(), rtol=1e-10, atol=1e-10)
    assert next(weights, None) is None


def _network_and_weights(config):
    network = config.build(3, 3).double()
    return network, iter(network.parameters())


@pytest.mark.parametrize(("size", "words"), [((15, 40), "a network of 2 scales would fit"), ((3, 3), "enlarge it")])
def test_a_picture_too_small_is_refused(size: tuple[int, int], words: str) -> None:
    with pytest.raises(BadValue, match=rf"{size[1]} x {size[0]} pixels.*{words}"):
        Hourglass().input_size(size)


def test_the_advised_number_of_scales_fits() -> None:
    for side in range(4, 16):
        fitting = side.bit_length() - 2
        assert Hourglass((8,) * fitting).input_size((side, side))[0] >= side


@pytest.mark.parametrize("name", SMALL)
def test_members_are_what_single_networks_are(name: str, device: torch.device) -> None:
    """K networks side by side: the same outputs as alone, and no gradient from one to another."""
    config, seeds = SMALL[name], [5, 6, 7]
    together = grouped_copies(config, 4, 3, seeds).double().to(device)
    z = torch.rand(1, 12, 16, 24, dtype=torch.float64, device=device)
    out = together(z).unflatten(1, (3, 3))
    for k, seed in enumerate(seeds):
        alone = grouped_copies(config, 4, 3, [seed]).double().to(device)
        torch.testing.assert_close(out[:, k], alone(z[:, 4 * k : 4 * k + 4]), rtol=1e-10, atol=1e-10)
    out[:, 1].square().sum().backward()
    learned = [parameter for parameter in together.parameters() if parameter.requires_grad]
    assert len(learned) > 4
    for parameter in learned:
        assert parameter.grad is not None
        others = torch.cat([parameter.grad.chunk(3)[0], parameter.grad.chunk(3)[2]])
        assert not others.any()
        assert parameter.grad.chunk(3)[1].any() or parameter.ndim == 1  # a shift of what is normalised moves nothing


@pytest.mark.parametrize("name", SMALL)
def test_a_bias_that_is_not_learned_changes_nothing(name: str) -> None:
    """A normalisation follows."""
    network = grouped_copies(SMALL[name], 4, 3, [0]).double()
    z = torch.rand(1, 4, 16, 24, dtype=torch.float64)
    before = network(z)
    for parameter in network.parameters():
        if not parameter.requires_grad:
            parameter.add_(1.0)
    torch.testing.assert_close(network(z), before, rtol=1e-9, atol=1e-9)


def test_building_leaves_the_global_random_state() -> None:
    before = torch.get_rng_state()
    grouped_copies(TINY, 4, 3, [0, 1])
    assert torch.get_rng_state().equal(before)


def test_normalisation_keeps_no_running_statistics() -> None:
    names = dict(Hourglass().build(32, 3).named_buffers())
    assert not any("running" in name for name in names)


def test_the_input_is_noise_unless_the_operator_has_a_guide() -> None:
    guide = torch.rand(3, 17, 20)
    prior = DeepImagePrior(TINY, perturbation=0)
    prior.start(Problem(GuidedInput(guide), torch.rand(1, 3, 17, 20)), [0])
    assert prior.z[0, :, :17, :20].equal(guide)
    prior.start(Problem(Identity((3, 17, 20)), torch.rand(1, 3, 17, 20)), [0])
    assert prior.z.shape == (1, 32, 20, 20)
    assert 0 <= float(prior.z.min()) <= float(prior.z.max()) <= 0.1


def test_a_meshgrid_holds_coordinates() -> None:
    z = Meshgrid().sample(Problem(Identity((1, 16, 20)), torch.rand(1, 1, 16, 20)), (16, 20), torch.Generator())
    assert z[0, 3].equal(torch.linspace(0, 1, 20))
    assert z[1, :, 3].equal(torch.linspace(0, 1, 16))


def test_noise_is_uniform_or_normal() -> None:
    problem, generator = Problem(Identity((1, 16, 16)), torch.rand(1, 1, 16, 16)), torch.Generator().manual_seed(0)
    uniform = Noise(32, 0.2).sample(problem, (32, 32), generator)
    normal = Noise(32, 0.2, "normal").sample(problem, (32, 32), generator)
    assert uniform.shape == normal.shape == (32, 32, 32)
    assert 0 <= float(uniform.min()) < 0.001 < 0.199 < float(uniform.max()) <= 0.2
    assert float(uniform.mean()) == pytest.approx(0.1, rel=0.02)
    assert float(normal.mean()) == pytest.approx(0, abs=0.005)
    assert float(normal.std()) == pytest.approx(0.2, rel=0.02)


def test_fourier_features_are_octaves_of_the_coordinates() -> None:
    z = FourierFeatures(3).sample(Problem(Identity((1, 16, 20)), torch.rand(1, 1, 16, 20)), (16, 21), torch.Generator())
    assert z.shape == (12, 16, 21)
    across, down = torch.linspace(0, 1, 21), torch.linspace(0, 1, 16)
    torch.testing.assert_close(z[0, 5], (torch.pi * across).sin())
    torch.testing.assert_close(z[5, :, 5], (4 * torch.pi * down).sin(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(z[8, 5], (2 * torch.pi * across).cos(), atol=1e-5, rtol=1e-5)


def test_a_perturbation_follows_its_schedule() -> None:
    ramp = Ramp(0.2, 0.0, 4)
    assert [ramp(step) for step in range(6)] == pytest.approx([0.2, 0.15, 0.1, 0.05, 0, 0])
    prior = DeepImagePrior(TINY, perturbation=ramp)
    prior.start(Problem(Identity((1, 32, 32)), torch.rand(1, 1, 32, 32)), [0])
    stds = []
    for step in range(6):
        prior.set_step(step)
        prior.resample_noise([torch.Generator().manual_seed(0)])
        stds.append(float(prior.noise.std()))
    assert stds == pytest.approx([0.2, 0.15, 0.1, 0.05, 0, 0], rel=0.02)
    wrong = DeepImagePrior(TINY, perturbation=lambda step: 0.1 - step)
    wrong.start(Problem(Identity((1, 32, 32)), torch.rand(1, 1, 32, 32)), [0])
    wrong.set_step(0)
    with pytest.raises(BadValue, match=r"perturbation = -0\.9"):
        wrong.set_step(1)


@pytest.mark.parametrize("learned", [True, False])
def test_the_input_is_fitted_where_that_is_asked_for(learned: bool) -> None:
    problem = Problem(Identity((1, 16, 16)), torch.rand(1, 1, 16, 16))
    prior = DeepImagePrior(TINY, learn_input=learned)
    prior.start(problem, [0])
    plain = DeepImagePrior(TINY)
    plain.start(problem, [0])
    before = prior.z.detach().clone()
    assert before.equal(plain.z)
    iteration = Descent().start(problem, prior, [torch.Generator()])
    iteration.step(True)
    assert prior.z.equal(before) is not learned
    assert ("learn_input" in repr(prior)) is learned


def test_fresh_noise_comes_with_refresh_only() -> None:
    prior = DeepImagePrior(TINY)
    prior.start(Problem(Identity((1, 16, 16)), torch.rand(1, 1, 16, 16)), [0])
    generator = torch.Generator().manual_seed(0)
    first = prior().detach()
    assert prior().equal(first)
    prior.resample_noise([generator])
    assert not prior().equal(first)
    assert float(prior.noise.std()) == pytest.approx(1 / 30, rel=0.05)


@given(images((3, 6, 7), count=2), st.sampled_from([-3.0, 0.0, 0.5, 10.0]), st.booleans())
def test_total_variation_is_homogeneous(x: torch.Tensor, factor: float, isotropic: bool) -> None:
    tv = TotalVariation(0.7, isotropic)
    torch.testing.assert_close(tv.value(factor * x), abs(factor) * tv.value(x))


def test_coupled_channels_share_one_length() -> None:
    """An edge of height a in each of C channels costs a √C where they share it, a C where each has its own."""
    x = torch.zeros(1, 3, 5, 8)
    x[..., 4:] = 0.5
    apart = torch.stack([x[0, k].roll(k, -1) for k in range(3)])[None]
    apart[..., :3] = 0
    assert float(TotalVariation(2.0, coupled=True).value(x)) == pytest.approx(2.0 * 0.5 * 5 * 3**0.5)
    for coupled in (True, False):
        assert float(TotalVariation(2.0, coupled=coupled).value(apart)) == pytest.approx(2.0 * 0.5 * 5 * 3)


def test_total_variation_of_a_step_is_its_length_times_its_height() -> None:
    x = torch.zeros(1, 2, 5, 8)
    x[..., 4:] = 0.5
    for isotropic in (True, False):
        assert float(TotalVariation(2.0, isotropic).value(x)) == pytest.approx(2.0 * 2 * 5 * 0.5)
    corner = torch.zeros(1, 1, 3, 3)
    corner[..., 0, 0] = 1
    assert float(TotalVariation(1.0).value(corner)) == pytest.approx(2**0.5)
    assert float(TotalVariation(1.0, isotropic=False).value(corner)) == pytest.approx(2)


@pytest.mark.parametrize(("isotropic", "coupled"), [(True, False), (False, False), (True, True)])
def test_the_smoothed_value_has_gradients_where_it_is_flat(isotropic: bool, coupled: bool) -> None:
    tv = TotalVariation(1.0, isotropic, coupled)
    x = torch.full((1, 1, 4, 4), 0.3, requires_grad=True)
    tv.penalty(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    y = torch.rand(1, 3, 32, 32)
    assert float(tv.penalty(y)) == pytest.approx(float(tv.value(y)), rel=5e-3)
    assert float(tv.penalty(y)) <= float(tv.value(y))


def test_priors_add_penalties_and_only_one_generator() -> None:
    x = torch.rand(1, 3, 16, 16)
    dip, tv = DeepImagePrior(TINY), TotalVariation(0.1)
    for both in (dip + tv, tv + dip):
        both.start(Problem(Identity((3, 16, 16)), x), [0])
        assert both.penalty(x).equal(tv.penalty(x))
        assert both.average_decay == dip.average_decay
    assert (tv + NoPrior()).penalty(x).equal(tv.penalty(x))
    assert (tv + tv).penalty(x).equal(2 * tv.penalty(x))
    with pytest.raises(BadType, match="two generators for one image"):
        dip + deepcopy(dip)


def test_the_start_is_small_noise_or_the_given_image() -> None:
    problem = Problem(Identity((1, 16, 16)), torch.rand(2, 1, 16, 16))
    prior = NoPrior()
    prior.start(problem, [0, 1])
    assert 0 <= float(prior().detach().min()) <= float(prior().detach().max()) <= 0.1
    assert not prior.pixels[0].equal(prior.pixels[1])
    initial = torch.rand(1, 16, 16)
    given_start = NoPrior(initial)
    given_start.start(problem, [0, 1])
    assert given_start.pixels[1].equal(initial)
    with pytest.raises(BadValue, match="an initial image of shape"):
        NoPrior(torch.rand(1, 16, 15)).start(problem, [0, 1])


@dataclass(frozen=True)
class Unbounded:
    """A generator of any values."""

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> torch.nn.Module:
        return torch.nn.Conv2d(copies * in_channels, copies * out_channels, 1, groups=copies)

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size


class RowSums(LinearOperator):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(-1)


PIXELS = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
HOLES = torch.rand(32, 32, generator=torch.Generator().manual_seed(1)) > 0.9


@pytest.mark.parametrize("generator", [TINY, UNet((4, 8)), ResNet(1, 4), DeepDecoder(4)], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("operator", [Identity(PIXELS.shape), Mask(HOLES, 3)], ids=repr)
def test_pixels_from_0_to_255_get_a_warning(generator: Generator, operator: LinearOperator) -> None:
    words = r"y has values up to 25\d\.\d where A of an image in \[0, 1\] reaches 1\.0; divide y by 255"
    with pytest.warns(UserWarning, match=words):
        DeepImagePrior(generator).start(Problem(operator, torch.stack([PIXELS, 255 * PIXELS])), [0, 1])


PHOTONS = [Poisson(peak) for peak in (0.01, 0.5, 0.7, 1, 3, 100)]


@pytest.mark.parametrize("noise", [Gaussian(0.0), Gaussian(0.5), Laplace(0.5), *PHOTONS, Poisson(10, 5.0)], ids=repr)
@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_noisy_images_get_no_warning(noise: NoiseModel, shift: float) -> None:
    for operator in (Identity(PIXELS.shape), Mask(HOLES, 3)):
        problem = Problem.simulate(operator, (PIXELS + shift).clamp(max=1), noise)
        with warnings.catch_warnings(action="error"):
            DeepImagePrior(TINY).start(problem, [0])


def test_other_operators_and_generators_without_a_sigmoid_get_no_warning() -> None:
    with warnings.catch_warnings(action="error"):
        DeepImagePrior(Unbounded()).start(Problem(Identity(PIXELS.shape), 255 * PIXELS), [0])
        for operator in (RowSums(PIXELS.shape), 255 * Identity(PIXELS.shape)):
            DeepImagePrior(TINY).start(Problem.simulate(operator, PIXELS, 0.1), [0])


BEHIND = [Blur(PIXELS.shape, kernels.gaussian(2)), LanczosDownsampler(PIXELS.shape, 4), RowSums(PIXELS.shape)]


@pytest.mark.parametrize("operator", BEHIND, ids=repr)
def test_pixels_from_0_to_255_get_a_warning_behind_linear_operators_too(operator: LinearOperator) -> None:
    y = operator(torch.stack([PIXELS, 255 * PIXELS]))
    with pytest.warns(UserWarning, match=r"y is 2\d\d times as large as A of random pixels.*divide y by 255"):
        DeepImagePrior(TINY).start(Problem(operator, y), [0, 1])


@pytest.mark.parametrize("noise", [Gaussian(0.5), Laplace(0.5), Poisson(1), Poisson(100), Poisson(10, 5.0)], ids=repr)
@pytest.mark.parametrize(
    "image", [PIXELS, PIXELS.square().mean() + 0 * PIXELS, (PIXELS > 0.5).float()], ids=["random", "flat", "binary"]
)
def test_noisy_measurements_by_linear_operators_get_no_warning(noise: NoiseModel, image: torch.Tensor) -> None:
    signed = [] if isinstance(noise, Poisson) else [Fourier(PIXELS.shape, torch.ones(32, 32)), FiniteDifferences(PIXELS.shape)]
    for operator in (*BEHIND, *signed):
        with warnings.catch_warnings(action="error"):
            DeepImagePrior(TINY).start(Problem.simulate(operator, image, noise), [0])


class _Misguided(Identity):
    def __init__(self, in_shape) -> None:
        super().__init__(in_shape)
        self.guide = torch.rand(3, 16, 32)


class _Short:
    """An input that does not heed the size it is given."""

    def sample(self, problem, size, generator) -> torch.Tensor:
        return torch.zeros(2, 8, 8)


def _started(operator, generator, source=None) -> None:
    DeepImagePrior(generator, source).start(Problem(operator, torch.rand(1, *operator.in_shape)), [0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TotalVariation(-1), "weight = -1"),
        (lambda: TotalVariation(float("nan")), "weight = nan"),
        (lambda: TotalVariation(0.1, isotropic=False, coupled=True), "coupled=True with isotropic=False"),
        (lambda: DeepImagePrior(perturbation=-0.1), "perturbation = -0.1"),
        (lambda: Noise(0), "channels = 0"),
        (lambda: Noise(2.5), "channels = 2.5; expected an integer"),
        (lambda: Noise(3, 0), "scale = 0; expected a positive"),
        (lambda: Noise(3, "0.1"), "scale = '0.1'; expected a positive"),
        (lambda: FourierFeatures(0), "octaves = 0"),
        (lambda: FourierFeatures(2000), "octaves = 2000; expected up to 20"),
        (lambda: Ramp(0.1, 0, 0), "steps = 0"),
        (lambda: DeepImagePrior(perturbation=-0.1), r"perturbation = -0\.1"),
        (lambda: DeepImagePrior(perturbation="0.1"), "or a function that gives one"),
        (lambda: UNet((8,)), "at least 2 of them"),
        (lambda: Hourglass(skips=1.5), "skips = 1.5; expected an integer from 0"),
        (lambda: UNet((8, 0)), "a width in channels = 0"),
        (lambda: encoder_decoder(()), "at least 1 of them"),
        (lambda: _started(GuidedInput(torch.rand(3, 32, 32)), DeepDecoder(8, 2)), "an input of the image's size"),
        (lambda: _started(_Misguided((3, 32, 32)), TINY), r"a guide of shape \(3, 16, 32\)"),
        (lambda: _started(Identity((3, 32)), TINY), r"expected 2-D images \(C, H, W\)"),
        (lambda: _started(Identity((3, 40, 15)), Hourglass()), "a network of 2 scales would fit"),
        (lambda: _started(Identity((3, 40, 15)), UNet()), "a UNet of 3 levels would fit"),
        (lambda: _started(Identity((3, 40, 15)), DeepDecoder()), r"DeepDecoder\(doublings=2\) would fit"),
        (lambda: _started(Identity((3, 32, 32)), TINY, _Short()), r"an input of shape \(2, 8, 8\)"),
        (lambda: Tikhonov(0.1, Identity((3, 8, 8))).penalty(torch.rand(1, 3, 32, 32)), r"shape \(1, 3, 32, 32\)"),
        (lambda: Hourglass((8, 8), skips=(4,)), "1 skips for 2 scales"),
        (lambda: Hourglass((8, 8), kernels=(3, 4)), "odd sides"),
        (lambda: Hourglass((8, 0)), "a width in channels = 0"),
        (lambda: Hourglass(downsampling="strided"), 'write downsampling="stride"'),
        (lambda: Hourglass(upsampling=("nearest", "nearest", "cubic", "nearest", "nearest")), "upsampling = 'cubic'"),
        (lambda: Hourglass(padding="reflection"), 'write padding="reflect"'),
        (lambda: Noise(distribution="gaussian"), "one of 'uniform', 'normal'"),
        (lambda: DeepImagePrior(TINY).start(Problem(Identity((16,)), torch.rand(1, 16)), [0]), r"\(C, H, W\)"),
        (
            lambda: DeepImagePrior(TINY, Guide()).start(Problem(Identity((1, 16, 16)), torch.rand(1, 1, 16, 16)), [0]),
            "no guide",
        ),
    ],
)
def test_priors_refuse(make, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words):
        make()


@pytest.mark.parametrize("first", [TotalVariation(0.1), NoPrior(), DeepImagePrior(Hourglass((4,)))])
def test_an_added_penalty_follows_the_dtype_of_the_problem(first: Prior) -> None:
    operator = Identity((1, 16, 16)).double()
    gradient = FiniteDifferences((1, 16, 16))
    problem = Problem(operator, torch.rand(1, 1, 16, 16, dtype=torch.float64))
    result = solve(problem, first + Tikhonov(0.1, gradient), Descent(), steps=2, progress=False)
    slopes = gradient.double()(result.image)
    expected = problem.data_term(result.image) + first.value(result.image) + 0.05 * slopes.square().sum()
    torch.testing.assert_close(result.objective, expected)
