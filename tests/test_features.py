"""Frozen networks as operators: their laws, their files, their features, and images made from these features."""

import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from dipops import FeatureMap, NoPrior, TotalVariation, images, metrics, recipes
from dipops.errors import BadFile, BadValue
from dipops.operators import Activation, Normalise
from dipops.operators.networks import AlexNet, SqueezeNet
from dipops.operators.networks.alexnet import Layout
from dipops.paper import preimages
from dipops.testing import laws

LAYOUTS: tuple[Layout, ...] = ("caffe", "torchvision")
CAFFE_LAYERS = [name for name, _ in AlexNet("caffe", complete=False).named_children()]
TORCHVISION_LAYERS = [name for name, _ in AlexNet("torchvision", complete=False).named_children()]
EACH_KIND = ("conv1", "norm1", "pool1", "conv2", "pool5")  # the last of them behind all others
DEEP = ["flat", "fc6", "relu6", "fc7", "relu7", "fc8"]


@pytest.fixture(scope="module")
def networks() -> dict[Layout, AlexNet]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {layout: AlexNet(layout, complete=False) for layout in LAYOUTS}


def test_normalising_makes_no_index_in_each_call() -> None:
    """On a GPU it would be copied there, and the copy waited for."""
    normalise, x = Normalise.caffe((3, 4, 5)), torch.rand(2, 3, 4, 5)
    assert normalise(x).equal((x[:, [2, 1, 0]] - normalise.mean) / normalise.std)
    torch.testing.assert_close(normalise.inverse(normalise(x)), x)
    assert sum(buffer.dtype is torch.int64 for buffer in normalise.buffers()) == 2
    with HostTensors() as made:
        normalise.inverse(normalise(x))
    assert made.count == 0


class HostTensors(TorchFunctionMode):
    """Counts the tensors that are made of lists, as an index by a list is."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        indices = args[1] if func is torch.Tensor.__getitem__ else ()
        self.count += func in (torch.tensor, torch.as_tensor) or any(isinstance(index, list | tuple) for index in indices)
        return func(*args, **(kwargs or {}))


def assert_derivatives_are_right(operator, device: torch.device) -> None:
    for law in (laws.gradient, laws.taylor):
        verdict = law(operator.to(device).double(), torch.Generator().manual_seed(0))
        assert not verdict.fault, f"{operator!r}: {verdict}"


@pytest.mark.parametrize(
    ("layout", "layer"),
    [
        *(("caffe", layer) for layer in EACH_KIND),
        *(pytest.param("caffe", layer, marks=pytest.mark.slow) for layer in CAFFE_LAYERS if layer not in EACH_KIND),
        *(pytest.param("torchvision", layer, marks=pytest.mark.slow) for layer in TORCHVISION_LAYERS),
    ],
    ids=str,
)
def test_every_convolutional_layer_obeys_the_laws(layout: Layout, layer: str, networks) -> None:
    assert_derivatives_are_right(networks[layout].at(layer, (3, 67, 75)), torch.device("cpu"))


@pytest.mark.cuda
def test_the_deepest_convolutional_layer_obeys_the_laws_on_a_gpu(networks) -> None:
    assert_derivatives_are_right(networks["caffe"].at(EACH_KIND[-1], (3, 67, 75)), torch.device("cuda"))


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_deep_layer_obeys_the_laws(layout: Layout, device: torch.device) -> None:
    network = AlexNet(layout)
    for layer in [*DEEP, *(["avgpool"] if layout == "torchvision" else [])]:
        assert_derivatives_are_right(network.at(layer), device)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["fc6", "fc7", "fc8"])
def test_deep_layers_are_inverted(layer: str, device: torch.device) -> None:
    photo = images.resize(images.photograph(), (227, 227)).to(device)
    contestants = {"none": recipes.preimage(NoPrior()), "DIP": recipes.preimage()}
    for preimage in preimages.preimages(photo, AlexNet(), [layer], contestants, steps=50, progress=False):
        assert preimage.error < 0.9
        assert preimage.steps == 50


def test_a_complete_network_counts_its_parameters() -> None:
    with torch.device("meta"):
        networks = AlexNet("caffe"), AlexNet("torchvision"), SqueezeNet()
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [60_965_224, 61_100_840, 1_248_424]


def test_sizes_are_those_of_the_networks() -> None:
    assert AlexNet("caffe", complete=False).at("pool5").out_shape == (256, 6, 6)
    assert AlexNet("torchvision", complete=False).at("pool5").out_shape == (256, 6, 6)
    assert SqueezeNet().at("conv_final").out_shape == (1000, 15, 15)
    assert SqueezeNet().at("scores").out_shape == (1000,)


def test_nothing_past_the_layer_is_computed_and_the_network_is_unchanged(networks) -> None:
    network = networks["caffe"]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    operator = network.at("conv2", (3, 67, 67))
    assert not any(parameter.requires_grad for parameter in operator.parameters())
    (part,) = [module for module in operator.modules() if isinstance(module, FeatureMap)]
    part.network.conv3 = nn.Conv2d(1, 1, 1)  # would fail, were it run
    operator(torch.rand(2, 3, 67, 67))
    assert all(network.state_dict()[name].equal(tensor) for name, tensor in before.items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_features_are_differentiable_under_func_transforms(networks) -> None:
    operator = networks["caffe"].at("norm1", (3, 35, 35)).double()
    x = torch.rand(2, 3, 35, 35, dtype=torch.float64)

    def energy(image: torch.Tensor) -> torch.Tensor:
        return operator(image[None]).square().sum()

    by_vmap = torch.func.vmap(torch.func.grad(energy))(x)
    of_batch = torch.func.grad(lambda batch: operator(batch).square().sum())(x)
    torch.testing.assert_close(by_vmap, of_batch)


def test_normalise_gives_what_the_networks_were_trained_on_and_has_an_inverse() -> None:
    x = torch.rand(2, 3, 5, 7)
    caffe, torchvision = Normalise.caffe((3, 5, 7)), Normalise.torchvision((3, 5, 7))
    blue = 255 * x[:, 2] - 104
    torch.testing.assert_close(caffe(x)[:, 0], blue, atol=1e-4, rtol=0)
    torch.testing.assert_close(torchvision(x)[:, 0], (x[:, 0] - 0.485) / 0.229)
    for operator in (caffe, torchvision):
        torch.testing.assert_close(operator.inverse(operator(x)), x, atol=1e-6, rtol=0)


def test_an_activation_is_a_score_or_a_channel_or_a_neuron() -> None:
    scores, features = torch.rand(2, 10), torch.rand(2, 4, 5, 6)
    assert Activation((10,), 3)(scores).equal(scores[:, 3:4])
    torch.testing.assert_close(Activation((4, 5, 6), 1)(features)[:, 0], features[:, 1].mean((1, 2)))
    assert Activation((4, 5, 6), (1, 2, 3))(features).equal(features[:, 1, 2, 3, None])


def arrays_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def torchvision_names(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    places = {
        "conv1": "features.0",
        "conv2": "features.3",
        "conv3": "features.6",
        "conv4": "features.8",
        "conv5": "features.10",
    }
    return {f"{places[name.split('.')[0]]}.{name.split('.')[1]}": array for name, array in arrays.items()}


def write(path: Path, arrays: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{name: array.numpy() for name, array in arrays.items()})
    elif path.suffix == ".safetensors":
        save_file(arrays, path)
    else:
        torch.save({"state_dict": arrays} if path.suffix == ".pth" else arrays, path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_are_read_from_every_file_format(layout: Layout, suffix: str, networks, tmp_path: Path) -> None:
    arrays = {name: array.half() for name, array in arrays_of(networks[layout]).items()}
    names = torchvision_names if layout == "torchvision" else dict
    loaded = AlexNet.load(write(tmp_path / f"weights{suffix}", names(arrays)))
    assert (loaded.layout, loaded.complete, loaded.training) == (layout, False, False)
    assert all(tensor.equal(arrays[name].float()) for name, tensor in loaded.state_dict().items())


def test_a_complete_file_gives_a_complete_network(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {name: array.shape for name, array in arrays_of(AlexNet("torchvision")).items()}
    arrays = {name: torch.zeros((), dtype=torch.half).expand(shape) for name, shape in shapes.items()}  # one number in the file
    path = write(tmp_path / "weights.pt", arrays)
    assert AlexNet.load(path).complete
    del arrays["fc7.bias"]
    with pytest.raises(BadFile, match=r"Missing key.*fc7.bias"):
        AlexNet.load(write(path, arrays))


def test_squeezenet_is_read_by_its_prototypes_names(tmp_path: Path) -> None:
    network = SqueezeNet()
    names = {name: name.replace(".", "/", 1) if name.startswith("fire") else name for name in network.state_dict()}
    arrays = {names[name]: array for name, array in arrays_of(network).items()}
    loaded = SqueezeNet.load(write(tmp_path / "weights.npz", arrays))
    assert all(tensor.equal(network.state_dict()[name]) for name, tensor in loaded.state_dict().items())


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


SPOILT = {
    "a missing array": (lambda arrays: {k: v for k, v in arrays.items() if k != "conv4.bias"}, "Missing key.*conv4.bias"),
    "another shape": (
        lambda arrays: arrays | {"conv2.weight": torch.zeros(256, 96, 5, 5)},
        r"size mismatch for conv2.weight.*256, 96",
    ),
    "one array too many": (lambda arrays: arrays | {"conv6.weight": torch.zeros(3)}, "Unexpected key.*conv6.weight"),
    "not a number": (
        lambda arrays: arrays | {"conv1.bias": torch.full((96,), torch.nan)},
        "'conv1.bias' in .*an array of finite numbers",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_message_names_the_wrong_weights(case: str, networks, tmp_path: Path) -> None:
    spoil, words = SPOILT[case]
    with pytest.raises(BadFile, match=words):
        AlexNet.load(write(tmp_path / "weights.npz", spoil(arrays_of(networks["caffe"]))))


def test_other_files_are_refused_and_their_code_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    torch.save({"conv1.weight": Trap(trap)}, tmp_path / "trap.pt")
    np.savez(tmp_path / "trap.npz", **{"conv1.weight": np.array([Trap(trap)], dtype=object)})
    torch.save({"epoch": 3}, tmp_path / "number.pth")
    (tmp_path / "text.npz").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    (tmp_path / "weights.bin").write_bytes(b"")
    for name in ("trap.pt", "trap.npz", "number.pth", "text.npz", "text.safetensors", "empty.npz", "weights.bin", "absent.pt"):
        with pytest.raises(BadFile, match=name):
            AlexNet.load(tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net: net.at("conv7"), BadValue, "nearest are conv"),
        (lambda net: net.at("fc6"), BadValue, "complete=False"),
        (lambda net: net.at("pool5", (3, 10, 10)), BadValue, "enlarge the image"),
        (lambda net: AlexNet("caffe").at("fc6", (3, 100, 100)), BadValue, "enlarge the image"),
        (lambda net: FeatureMap((3, 67, 67), AlexNet(complete=False).train(), "conv1"), BadValue, "in training mode"),
        (lambda net: AlexNet("keras"), BadValue, "one of 'caffe', 'torchvision'"),
        (lambda net: Normalise((3, 8, 8), [0, 0], [1, 1, 1]), BadValue, r"mean \(0, 0\)"),
        (lambda net: Normalise((3, 8, 8), [0, 0, 0], [1, 0, 1]), BadValue, "positive deviations"),
        (lambda net: Normalise((3, 8, 8), [0, 0, 0], [1, 1, 1], (0, 0, 1)), BadValue, r"order \(0, 0, 1\)"),
        (lambda net: Activation((10,), 10), BadValue, r"indices into features of shape \(10,\)"),
        (lambda net: Activation((10,), -1), BadValue, "unit = -1"),
        (lambda net: Activation((10,), (1, 2)), BadValue, r"unit = \(1, 2\)"),
        (lambda net: preimages.activation_maximisation(net, "conv1", 0, target=-1), BadValue, "target = -1"),
        (lambda net: preimages.activation_maximisation(net, "conv1", 96), BadValue, "unit = 96"),
        (lambda net: preimages.preimages(torch.rand(3, 67, 67), net, ["conv1", "conv9"], {}), BadValue, "'conv9'"),
        (lambda net: preimages.figure(torch.rand(3, 8, 8), []), BadValue, "no pre-images"),
    ],
)
def test_networks_refuse(call, error: type, words: str, networks) -> None:
    with pytest.raises(error, match=words):
        call(networks["caffe"])


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a server and the files that it serves; of files named ``short-...`` it sends the beginning only."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            if name not in files:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(files[name])))
            self.end_headers()
            self.wfile.write(files[name][: 1000 if name.startswith("short-") else None])

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}", files
    listening.shutdown()
    listening.server_close()


def test_a_download_is_checked_and_stored_and_failures_say_what_to_do(server, networks, tmp_path: Path) -> None:
    address, files = server
    buffer = io.BytesIO()
    torch.save(torchvision_names(arrays_of(networks["torchvision"])), buffer)
    data = buffer.getvalue()
    digits = hashlib.sha256(data).hexdigest()[:8]
    names = {"right": f"alexnet-{digits}.pth", "wrong": "alexnet-00000000.pth", "cut": f"short-{digits}.pth"}
    files.update(dict.fromkeys(names.values(), data))
    network = AlexNet.download(tmp_path, f"{address}/{names['right']}")
    assert all(tensor.equal(networks["torchvision"].state_dict()[name]) for name, tensor in network.state_dict().items())
    files.clear()
    AlexNet.download(tmp_path, f"{address}/{names['right']}")
    files.update(dict.fromkeys(names.values(), data))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/alexnet-{digits}.pth"
    bad = {
        f"{address}/{names['wrong']}": "invalid hash value",
        f"{address}/{names['cut']}": "invalid hash value|cut|Incomplete",
        f"{address}/absent-{digits}.pth": "Not Found",
        nobody: "refused",
        f"http://no-such-host.invalid/alexnet-{digits}.pth": "cannot be fetched",
    }
    for number, (url, words) in enumerate(bad.items()):
        folder = tmp_path / str(number)
        with pytest.raises(BadFile, match=rf"(?s){words}.*put it at {folder}/.*pth"):
            AlexNet.download(folder, url)
        assert not list(folder.iterdir())


def caffe_by_hand(x: np.ndarray, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features of an image (3, 227, 227) in [0, 1] by numpy alone, in float64, from the description of the network."""
    windows = np.lib.stride_tricks.sliding_window_view

    def conv(x: np.ndarray, name: str, stride: int, pad: int, groups: int) -> np.ndarray:
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        side = kernel.shape[-1]
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        patches = windows(padded, (side, side), axis=(1, 2))[:, ::stride, ::stride]
        parts = zip(np.split(patches, groups), np.split(kernel, groups), strict=True)
        return np.concatenate([np.tensordot(k, p, ((1, 2, 3), (0, 3, 4))) for p, k in parts]) + bias[:, None, None]

    def lrn(x: np.ndarray) -> np.ndarray:
        squares = np.pad(x**2, ((2, 2), (0, 0), (0, 0)))
        total = sum(squares[k : k + len(x)] for k in range(5))
        return x / (1 + 1e-4 / 5 * total) ** 0.75

    def pool(x: np.ndarray) -> np.ndarray:
        rest = (3 - x.shape[1]) % 2
        padded = np.pad(x, ((0, 0), (0, rest), (0, rest)), constant_values=-np.inf)
        return windows(padded, (3, 3), axis=(1, 2))[:, ::2, ::2].max((3, 4))

    features, relu = {}, lambda x: np.maximum(x, 0)
    x = 255 * x[::-1].astype(np.float64) - np.array([104.0, 117, 123])[:, None, None]
    features["conv1"] = conv(x, "conv1", 4, 0, 1)
    features["conv2"] = conv(pool(lrn(relu(features["conv1"]))), "conv2", 1, 2, 2)
    features["conv3"] = conv(pool(lrn(relu(features["conv2"]))), "conv3", 1, 1, 1)
    features["conv4"] = conv(relu(features["conv3"]), "conv4", 1, 1, 2)
    features["conv5"] = conv(relu(features["conv4"]), "conv5", 1, 1, 2)
    features["pool5"] = pool(relu(features["conv5"]))
    return features


@pytest.mark.data
def test_caffes_features_of_the_monkey_agree_with_numpy(data: Path) -> None:
    path = data / "weights" / "alexnet_bvlc_conv_q7.npz"
    photo = images.load(data / "feature_inversion" / "monkey.jpg")
    with np.load(path) as arrays:
        weights = {name: arrays[name].astype(np.float64) for name in arrays.files}
    network = AlexNet.load(path)
    for layer, expected in caffe_by_hand(photo.numpy(), weights).items():
        features = network.at(layer)(photo[None])[0].double().numpy()
        error = np.linalg.norm(features - expected) / np.linalg.norm(expected)
        assert error < 1e-4, f"{layer}: {error}"


@pytest.mark.data
def test_squeezenet_recognises_a_guenon(data: Path) -> None:
    scores = SqueezeNet.load(data / "weights" / "squeezenet10_deepcompressed.npz").at("scores")
    photo = images.load(data / "feature_inversion" / "monkey.jpg")[None]
    recognition = metrics.recognition(scores, photo * 0 + photo.mean(), photo)
    assert (recognition.label.tolist(), recognition.truth.shape) == ([370], (1,))
    assert float(recognition.truth) > 0.9 > 0.1 > float(recognition.image)


def test_preimages_are_a_table_and_a_figure(networks) -> None:
    photo = images.resize(images.photograph(), (67, 67)).clamp(0, 1)
    contestants = {"TV": recipes.preimage(TotalVariation(1e-5)), "none": recipes.preimage(NoPrior())}
    classifier = SqueezeNet().at("scores", photo.shape)
    layers = ["conv1", "pool2"]
    solved = list(preimages.preimages(photo, networks["caffe"], layers, contestants, classifier, steps=60, progress=False))
    assert [(preimage.layer, preimage.prior) for preimage in solved] == [(la, prior) for la in layers for prior in contestants]
    for preimage in solved:
        assert 0 <= float(preimage.image.min()) <= float(preimage.image.max()) <= 1
        operator = networks["caffe"].at(preimage.layer, photo.shape)
        with torch.no_grad():
            features, expected = operator(preimage.image[None]), operator(photo[None])
        assert preimage.error == pytest.approx(float((features - expected).norm() / expected.norm()), rel=1e-3)
        assert preimage.error < 0.7
        assert preimage.probability is not None
    lines = preimages.table(solved).splitlines()
    assert len(lines) == 4
    assert f"{solved[2].error:.3f}" in lines[3]
    assert len(preimages.figure(photo, solved).axes) == 6


@pytest.mark.parametrize("unit", [3, (3, 1, 2)])
def test_a_unit_is_excited(unit, networks) -> None:
    network = networks["caffe"]
    network.side, side = 67, network.side
    try:
        problem = preimages.activation_maximisation(network, "conv2", unit)
    finally:
        network.side = side
    recipe = recipes.maximise(Activation((256, 7, 7), unit), TotalVariation(1e-6))
    result = recipe.solve(problem, steps=30, progress=False)
    curve = result.trace["objective"][:, 0]
    assert float(curve[-1]) < 0.5 * float(curve[0])
    assert recipes.maximise(Activation((1000,), 3)).method != recipes.maximise(Activation((256, 7, 7), 3)).method
