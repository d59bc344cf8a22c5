"""Solves in several threads have the bits of solves one after another, and leave all global state as it was."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dipops import DeepImagePrior, Descent, Hourglass, Identity, Langevin, Problem, TotalVariation, images, solve
from dipops._tools.seeds import SeededDraws
from dipops._tools.threads import one_thread
from dipops.errors import BadType
from dipops.operators.networks import SqueezeNet
from dipops.priors.generators import DeepDecoder, Generator, ResNet, UNet, encoder_decoder
from dipops.priors.generators.interface import grouped_copies
from dipops.study import Record, Store, Task
from dipops.study.cluster import _device_of, run_on

NETWORKS: dict[str, Generator] = {
    "Hourglass": Hourglass((8, 8), skips=2),
    "UNet": UNet((4, 8)),
    "ResNet": ResNet(8, 1),
    "DeepDecoder": DeepDecoder(16, 2),
    "encoder_decoder": encoder_decoder((4, 6)),
    "recomputed": Hourglass((8,), recompute=True),
}


@dataclass(frozen=True)
class Pausing:
    """A generator that lets other threads draw before it does."""

    config: Generator

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        time.sleep(0.003)
        return self.config.build(in_channels, out_channels, copies)

    def input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return self.config.input_size(size)


def solved(number: int) -> Tensor:
    """A short solve that is another one for every number."""
    x = images.portrait(32)[:, 8:24, 8:24]
    problem = Problem.simulate(Identity(x.shape), x, 0.1)
    prior = DeepImagePrior(Pausing(list(NETWORKS.values())[number % len(NETWORKS)]))
    method = Langevin(burn_in=0) if number % 5 == 4 else Descent(precision="mixed" if number % 5 == 3 else "full")
    return solve(problem, prior + TotalVariation(0.01), method, steps=2, seed=number, progress=False).last


def test_solves_in_two_threads_have_the_bits_of_solves_one_after_another() -> None:
    expected, before = [solved(number) for number in range(10)], torch.get_rng_state()
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(solved, range(10)))
    assert [number for number in range(10) if not together[number].equal(expected[number])] == []
    assert torch.get_rng_state().equal(before)


def test_a_solve_and_a_thread_that_draws_do_not_notice_each_other() -> None:
    expected, ended, drawn = [solved(number) for number in range(6)], threading.Event(), []

    def draw() -> None:
        torch.manual_seed(1)
        while not ended.is_set():
            drawn.append(torch.rand(3))

    with torch.random.fork_rng(devices=[]):
        user = threading.Thread(target=draw)
        user.start()
        beside = [solved(number) for number in range(6)]
        ended.set()
        user.join()
    assert all(map(torch.equal, beside, expected))
    alone = torch.Generator().manual_seed(1)
    assert torch.stack(drawn).equal(torch.stack([torch.rand(3, generator=alone) for _ in drawn]))


def test_a_solve_leaves_the_settings_of_the_process() -> None:
    def settings() -> list[object]:
        return [
            torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32,
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_grad_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.is_autocast_cache_enabled(),
        ]

    before = settings()
    for number in range(5):
        solved(number)
    assert settings() == before


@dataclass(frozen=True)
class Meeting(Pausing):
    """A generator that draws only once all builds have begun."""

    begun: threading.Barrier

    def build(self, in_channels: int, out_channels: int, copies: int = 1) -> nn.Module:
        self.begun.wait()
        return self.config.build(in_channels, out_channels, copies)


def test_networks_that_are_built_at_the_same_time_have_their_own_weights() -> None:
    config, before = Meeting(NETWORKS["UNet"], threading.Barrier(4)), torch.get_rng_state()
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda seed: grouped_copies(config, 4, 3, [seed]).state_dict(), range(4)))
    for seed, weights in enumerate(together):
        alone = grouped_copies(config.config, 4, 3, [seed]).state_dict()
        assert all(value.equal(weights[name]) for name, value in alone.items())
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seeds", [[0], [5, 6]])
def test_networks_have_the_weights_that_the_global_generator_would_give(name: str, seeds: list[int]) -> None:
    network, before = grouped_copies(NETWORKS[name], 4, 3, seeds), torch.get_rng_state()
    with torch.random.fork_rng(devices=[]):
        singles = []
        for seed in seeds:
            torch.manual_seed(seed)
            singles.append(NETWORKS[name].build(4, 3).state_dict())
    for key, value in network.state_dict().items():
        assert value.equal(torch.cat([single[key] for single in singles]))
    assert torch.get_rng_state().equal(before)


DRAWS: dict[str, Callable[[], Tensor]] = {
    "rand": lambda: torch.rand(4),
    "rand out": lambda: torch.rand(4, out=torch.empty(4)),
    "rand_like": lambda: torch.rand_like(torch.zeros(4)),
    "randn": lambda: torch.randn(4, dtype=torch.float64),
    "randn_like": lambda: torch.randn_like(torch.zeros(4)),
    "randint": lambda: torch.randint(9, (4,)),
    "randint from": lambda: torch.randint(2, 9, (4,)),
    "randint_like": lambda: torch.randint_like(torch.zeros(4), 2, 9),
    "randperm": lambda: torch.randperm(4),
    "normal_": lambda: torch.empty(20).normal_(),
    "normal": lambda: torch.normal(0.0, 1.0, (4,)),
    "normal of means": lambda: torch.normal(torch.zeros(4), 1.0),
    "uniform_": lambda: torch.empty(4).uniform_(),
    "exponential_": lambda: torch.empty(4).exponential_(),
    "bernoulli": lambda: torch.bernoulli(torch.full((4,), 0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(9), 4),
    "poisson": lambda: torch.poisson(torch.ones(9)),
    "dropout": lambda: F.dropout(torch.ones(9)),
    "rrelu": lambda: F.rrelu(-torch.ones(9), training=True),
    "distribution": lambda: torch.distributions.Normal(0.0, 1.0).sample((4,)),
    "orthogonal_": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "trunc_normal_": lambda: nn.init.trunc_normal_(torch.empty(9)),
    "Linear": lambda: nn.Linear(3, 3).weight.detach(),
    "LSTM": lambda: nn.LSTM(3, 3).state_dict()["weight_hh_l0"],
    "spectral_norm": lambda: spectral_norm(nn.Linear(3, 3))(torch.ones(3)).detach(),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_seeded_draws_are_those_after_manual_seed(draw: Callable[[], Tensor]) -> None:
    """Of every operation with which a generator of the user's own may set its weights; the second draw goes on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = [draw(), draw()]
    before = torch.get_rng_state()
    with SeededDraws(7):
        drawn = [draw(), draw()]
    assert all(map(torch.equal, drawn, expected))
    assert torch.get_rng_state().equal(before)


def test_a_generator_of_ones_own_is_respected() -> None:
    own = torch.Generator().manual_seed(3)
    with SeededDraws(7):
        drawn = torch.rand(4, generator=own), torch.poisson(torch.ones(4), own)
    own.manual_seed(3)
    assert all(map(torch.equal, drawn, (torch.rand(4, generator=own), torch.poisson(torch.ones(4), own))))


def test_a_draw_that_takes_no_generator_is_refused() -> None:
    with SeededDraws(7), pytest.raises(BadType, match=r"native_dropout.*, which takes no generator; expected draws such as"):
        torch.native_dropout(torch.ones(3), 0.5, True)


def test_a_network_is_built_on_the_cpu_whatever_the_default_device() -> None:
    with torch.device("meta"):
        network = grouped_copies(NETWORKS["UNet"], 4, 3, [0])
    expected = grouped_copies(NETWORKS["UNet"], 4, 3, [0]).state_dict()
    assert all(value.equal(expected[name]) for name, value in network.state_dict().items())


def test_loading_a_network_draws_nothing(tmp_path: Path) -> None:
    torch.save(SqueezeNet().state_dict(), tmp_path / "weights.pt")
    before = torch.get_rng_state()
    SqueezeNet.load(tmp_path / "weights.pt")
    assert torch.get_rng_state().equal(before)


def perform(number: int, target: str, progress: bool) -> tuple[Record, Tensor]:
    """A run of a study."""
    return {"scores": {}}, solved(number)


def test_a_worker_with_four_threads_stores_the_images_of_one_thread(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    tasks = [Task(f"run-{number}", f"run {number}", "", partial(perform, number)) for number in range(10)]
    store = Store(tmp_path)
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        run_on(client, tasks, store, progress=False)
    for number, task in enumerate(tasks):
        images.save(tmp_path / "alone.png", solved(number)[0])
        assert (tmp_path / f"{task.key}.png").read_bytes() == (tmp_path / "alone.png").read_bytes()


def test_the_number_of_threads_is_set_back_by_the_last_of_several() -> None:
    """A new thread starts with what any thread has set."""
    inside, leave, started = threading.Barrier(3), threading.Event(), []

    def hold() -> None:
        with one_thread():
            inside.wait()
            leave.wait()
        started.append(torch.get_num_threads())

    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    holders = [threading.Thread(target=hold) for _ in range(2)]
    for holder in holders:
        holder.start()
    inside.wait()
    leave.set()
    for holder in holders:
        holder.join()
    new = threading.Thread(target=lambda: started.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert [*started, torch.get_num_threads()] == [2] * 4
    torch.set_num_threads(usual)


@pytest.mark.parametrize(
    ("addresses", "gpus", "shares"),
    [
        (["tcp://10.0.0.1:41001", "tcp://10.0.0.1:39002"], 2, [1, 1]),
        (["tcp://10.0.0.1:5", "tcp://10.0.0.1:6", "tcp://10.0.0.1:7", "tcp://10.0.0.1:8", "tcp://10.0.0.1:9"], 2, [3, 2]),
        (["tcp://10.0.0.1:5", "tcp://10.0.0.2:5", "tcp://10.0.0.1:6", "tcp://10.0.0.2:6"], 2, [2, 2]),
        (["inproc://10.0.0.1/77/one", "inproc://10.0.0.1/77/two", "inproc://10.0.0.1/77/three"], 3, [1, 1, 1]),
        (["tls://[fe80::1]:5", "tls://[fe80::1]:6"], 4, [1, 1, 0, 0]),
    ],
)
def test_the_workers_of_a_machine_share_its_gpus_evenly(addresses: list[str], gpus: int, shares: list[int]) -> None:
    devices = [_device_of(address, addresses, gpus) for address in addresses]
    assert [devices.count(f"cuda:{number}") for number in range(gpus)] == shares
    assert [_device_of(address, list(reversed(addresses)), gpus) for address in addresses] == devices
    assert {_device_of(address, addresses, 0) for address in addresses} == {"cpu"}
    assert _device_of("tcp://10.9.9.9:1", addresses, gpus) == "cuda:0"


def where(target: str, progress: bool) -> tuple[Record, Tensor]:
    """A run that says on which device it was asked to be."""
    time.sleep(0.2)
    return {"scores": {}, "asked": target}, torch.zeros(1, 1, 2, 2)


def test_two_workers_take_two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    tasks = [Task(f"run-{number}", f"run {number}", "", where) for number in range(4)]
    store = Store(tmp_path)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        run_on(client, tasks, store, progress=False)
    records = [store.record(task.key) for task in tasks]
    assert {record["asked"] for record in records} == {"cuda:0", "cuda:1"}
    assert all(record["environment"]["gpu"] == record["asked"].replace("cuda:", "GPU ") for record in records)
