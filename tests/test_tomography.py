"""Radon against scikit-image, closed forms and its own dense matrix; the sparse products beneath it."""

import math
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize
from torch.func import hessian, jvp, vjp, vmap

from dipops import metrics
from dipops.errors import BadType, BadValue
from dipops.operators import Radon
from dipops.operators.sparse import Sparse

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # PyTorch calls it for forward mode


def _phantom(height: int, width: int) -> torch.Tensor:
    return torch.as_tensor(resize(shepp_logan_phantom(), (height, width), anti_aliasing=True))[None]


@pytest.mark.parametrize("size", [(48, 48), (33, 33), (40, 27), (22, 51)])
def test_radon_is_scikit_images_sinogram_transposed(size: tuple[int, int], device: torch.device) -> None:
    angles, x = np.arange(-20, 340, 7.5), _phantom(*size)
    expected = torch.as_tensor(radon(x[0].numpy(), angles, circle=False).T)
    y = Radon(size, angles).double().to(device)(x.to(device))[0].cpu()
    assert y.shape == expected.shape
    assert (y - expected).norm() < 0.01 * expected.norm()


def test_a_given_number_of_detectors_is_that_of_scikit_image_within_the_circle() -> None:
    side, angles = torch.arange(40) - 20, torch.arange(0, 180, 10)
    x = _phantom(40, 40) * (side[:, None].square() + side.square() <= 20**2)
    expected = torch.as_tensor(radon(x[0].numpy(), angles.numpy(), circle=True).T)
    y = Radon((40, 40), angles, detectors=40).double()(x)[0]
    assert (y - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize("detectors", [1, 2, 7, 30, 31])
def test_detectors_are_the_middle_ones(detectors: int) -> None:
    whole, part = Radon((6, 8), [20, 115.0], 101), Radon((6, 8), [20, 115.0], detectors)
    first = 101 // 2 - detectors // 2
    assert part.matrix().equal(whole.matrix().view(2, 101, -1)[:, first : first + detectors].flatten(0, 1))


@pytest.mark.parametrize("detectors", [None, 5])
def test_the_adjoint_is_exactly_the_transpose(detectors: int | None, device: torch.device) -> None:
    operator = Radon((7, 10), [0, 17, 45, 90, 130.5], detectors).double().to(device)
    assert operator.matrix().T.equal(operator.T.matrix())


def test_every_projection_holds_the_whole_image() -> None:
    operator = Radon((9, 12), torch.linspace(0, 360, 50))
    x = torch.rand(1, 9, 12)
    torch.testing.assert_close(operator(x).sum(-1), x.sum().expand(1, 50))


def test_right_angles_are_sums_of_rows_and_columns() -> None:
    x = torch.rand(1, 5, 5)
    y = Radon((5, 5), [0, 90, 180, 270], detectors=5)(x)[0]
    columns, rows = x[0].sum(0), x[0].sum(1)
    torch.testing.assert_close(y, torch.stack([columns, rows.flip(0), columns.flip(0), rows]))


def test_the_diagonal_is_cut_into_triangles() -> None:
    """At 45 degrees a strip in the middle of a pixel leaves the corners beyond half a unit: two of area (√2 / 2 - 1/2)²."""
    corner = (0.5**0.5 - 0.5) ** 2
    y = Radon((1, 1), [45], detectors=3).double()(torch.ones(1, 1, 1).double())
    torch.testing.assert_close(y, torch.tensor([[[corner, 1 - 2 * corner, corner]]]).double())


def test_a_disc_casts_the_shadow_of_its_chords() -> None:
    size, radius, fine = 65, 25.0, 8
    side = (torch.arange(size * fine).double() + 0.5) / fine - 0.5 - size // 2
    disc = ((side[:, None] ** 2 + side**2) < radius**2).double().view(size, fine, size, fine).mean((1, 3))
    y = Radon((size, size), range(0, 180, 9), detectors=size).double()(disc[None])[0]
    s = torch.arange(size).double() - size // 2
    chords = 2 * (radius**2 - s**2).clamp(min=0).sqrt()
    inside = s.abs() < radius - 1.5
    torch.testing.assert_close(y[:, inside], chords[inside].expand(len(y), -1), rtol=0.02, atol=0)


def test_filtered_back_projection_is_as_good_as_scikit_images() -> None:
    x, angles = _phantom(64, 64).float(), np.arange(180.0)
    operator = Radon((64, 64), angles)
    y = operator(x)
    peer = torch.as_tensor(iradon(y[0].numpy().T, angles, output_size=64, circle=False))[None].float()
    assert float(metrics.psnr(operator.fbp(y), x, image_dims=2)) > float(metrics.psnr(peer, x, image_dims=2)) - 0.5


def test_channels_and_batches_are_projected_each_by_itself() -> None:
    colour, plane = Radon((3, 6, 8), [10, 60, 95]), Radon((6, 8), [10, 60, 95])
    x = torch.rand(2, 3, 6, 8)
    y = colour(x)
    assert y.shape == (2, *colour.out_shape) == (2, 3, 3, 12)
    torch.testing.assert_close(y.flatten(0, 1), plane(x.flatten(0, 1)))
    torch.testing.assert_close(colour.T(y).flatten(0, 1), plane.T(y.flatten(0, 1)))
    torch.testing.assert_close(colour.fbp(y).flatten(0, 1), plane.fbp(y.flatten(0, 1)))
    assert colour(x[:0]).shape == (0, 3, 3, 12)


@pytest.mark.parametrize("angles", [[30], (30.0,), range(30, 31), np.array([30]), torch.tensor([30])])
def test_angles_are_any_sequence_even_of_one(angles: Any) -> None:
    operator = Radon((4, 4), angles)
    assert operator.angles == (30.0,)
    assert operator.out_shape == (1, 6)
    assert repr(operator) == "Radon(4, 4, 1 angle)"


@pytest.mark.parametrize(
    ("shape", "angles", "detectors", "words"),
    [
        ((8, 8), [], None, r"angles of shape \(0,\); expected a sequence of angles in degrees; write a list"),
        ((8, 8), [0, math.nan], None, "an angle that is not finite"),
        ((8, 8), 30, None, r"angles = 30; expected a sequence of angles in degrees; write \[30\] for one angle"),
        ((8, 8), "30", None, "angles = '30'"),
        ((8, 8), [[0, 30]], None, r"angles of shape \(1, 2\)"),
        ((8, 8), [0], 8.5, "detectors = 8.5; expected an integer from 1"),
        ((8, 8), [0], 0, "detectors = 0"),
        ((8,), [0], None, r"in_shape = \(8,\); expected \(H, W\) or \(C, H, W\)"),
        ((900, 1200), range(180), None, "7.1 GB of weights for 1200 x 900 pixels and 180 angles; .* take at most 1"),
        ((20000, 20000), [1], None, "for 20000 x 20000 pixels and 1 angle; .* take a smaller image"),
    ],
)  # fmt: skip
def test_radon_refuses(shape: Sequence[int], angles: Any, detectors: Any, words: str) -> None:
    with pytest.raises((BadValue, BadType), match=words) as refusal:
        Radon(shape, angles, detectors)
    assert "\n" not in str(refusal.value)


def test_fbp_refuses_an_image() -> None:
    with pytest.raises(BadValue, match=r"y has shape \(1, 8, 8\); expected shape \(N, 2, 12\)"):
        Radon((8, 8), [0, 90]).fbp(torch.rand(1, 8, 8))


@pytest.mark.parametrize(("share", "fits"), [(1.05, True), (0.95, False)])
def test_the_estimate_is_what_the_weights_take(share: float, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    angles = range(1, 180, 5)
    operator = Radon((40, 30), angles)
    taken = sum(buffer.nbytes for name, buffer in operator.named_buffers() if not name.endswith("starts"))
    monkeypatch.setattr("dipops.operators.tomography._MOST_BYTES", share * taken)
    with nullcontext() if fits else pytest.raises(BadValue, match="of weights for 30 x 40 pixels"):
        Radon((40, 30), angles)


def _sparse() -> tuple[Sparse, torch.Tensor]:
    dense = np.random.default_rng(0).random((9, 7))
    dense[dense < 0.7] = 0
    return Sparse(scipy.sparse.coo_array(dense)), torch.as_tensor(dense)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_sparse_products_are_dense_ones_in_every_mode(count: int) -> None:
    sparse, dense = _sparse()
    x, y = torch.rand(count, 7).double(), torch.rand(count, 9).double()
    torch.testing.assert_close(sparse(x), x @ dense.T)
    torch.testing.assert_close(sparse.transposed(y), y @ dense)
    torch.testing.assert_close(jvp(sparse, (x,), (x,))[1], x @ dense.T)
    torch.testing.assert_close(vjp(sparse, x)[1](y)[0], y @ dense)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(sparse(x), x @ dense.T)
    if count:
        torch.testing.assert_close(vmap(lambda image: sparse(image[None])[0])(x), x @ dense.T)
        torch.testing.assert_close(hessian(lambda image: sparse(image[None]).square().sum())(x[0]), 2 * dense.T @ dense)


def test_sparse_products_survive_copies_pickles_and_other_dtypes() -> None:
    sparse, dense = _sparse()
    x = torch.rand(2, 7)
    other = pickle.loads(pickle.dumps(deepcopy(sparse))).float()
    torch.testing.assert_close(other(x), x @ dense.T.float())
    rough = other.bfloat16()(x.bfloat16())
    assert rough.dtype is torch.bfloat16
    torch.testing.assert_close(rough.float(), x @ dense.T.float(), rtol=0.02, atol=0.02)


def test_doubled_entries_of_a_sparse_matrix_add_up() -> None:
    entries = scipy.sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 3))
    torch.testing.assert_close(Sparse(entries)(torch.eye(3).double()).T, torch.as_tensor(entries.toarray()))


def test_no_warning_of_pytorch_reaches_the_user() -> None:
    code = "import torch; from dipops.operators import Radon; A = Radon((1, 4, 4), [0, 30]); A.T(A(torch.rand(2, 1, 4, 4)))"
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True)


def test_angles_in_radians_are_told() -> None:
    with pytest.warns(UserWarning, match="look like radians; angles are in degrees"):
        Radon((1, 8, 8), np.linspace(0, np.pi, 30, endpoint=False))


def test_more_measurements_than_memory_holds_are_refused() -> None:
    with pytest.raises(BadValue, match="30 angles of 100000000 detectors; expected at most 100,000,000 measurements"):
        Radon((8, 8), range(0, 180, 6), 10**8)
