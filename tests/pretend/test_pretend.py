"""The pretend GPU refuses what a GPU refuses, counts waits, and its graphs make their operations again."""

from collections.abc import Callable

import pytest
import torch

from tests.pretend import hooks
from tests.pretend.device import waits

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(hooks.missing is not None, reason="no pretend GPU here"),
]


def test_two_devices_do_not_mix() -> None:
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    for mixed in (lambda: here + there, lambda: torch.cat([there, here]), lambda: here[there.long()]):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    assert (there * torch.tensor(2.0)).tolist() == [2, 2, 2]
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()


@pytest.mark.parametrize(("of_generator", "of_numbers"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_generator_draws_on_its_own_device(of_generator: str, of_numbers: str) -> None:
    generator = torch.Generator(of_generator)
    with pytest.raises(RuntimeError, match=f"Expected a '{of_numbers}' device type for generator but found '{of_generator}'"):
        torch.rand(3, device=of_numbers, generator=generator)


def test_waits_are_counted_and_uploads_of_numbers_too() -> None:
    x = torch.rand(4, device="cuda")
    for wait in (lambda: float(x[0]), lambda: x.cpu(), lambda: x[x > 0.5], lambda: torch.tensor([1.0], device="cuda")):
        waits.clear()
        wait()
        assert waits.total() == 1
    waits.clear()
    x[x > 0.5] = 0
    x[1:].mul_(2).sum()
    assert not waits


def noisy_descent(place: str) -> tuple[Callable[[], torch.Tensor], torch.Generator]:
    """A step that draws, differentiates and moves weights in place, and what it yields."""
    generator = torch.Generator(place).manual_seed(0)
    layer = torch.nn.Conv2d(2, 2, 3, padding=1).requires_grad_()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(0.1)
    layer = layer.to(place)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True, capturable=place == "cuda")
    noise = torch.zeros(1, 2, 8, 8, device=place)

    def step() -> torch.Tensor:
        noise.normal_(generator=generator)
        optimizer.zero_grad()
        out = layer(noise).square().mean((1, 2, 3))
        out.sum().backward()
        optimizer.step()
        return out.detach()

    return step, generator


def test_replays_are_steps() -> None:
    step, generator = noisy_descent("cuda")
    plain, _ = noisy_descent("cpu")
    expected = [plain() for _ in range(6)]
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(side):
        outs = [step().cpu() for _ in range(2)]
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph, stream=side):
        out = step()
    assert out.isnan().all()
    for _ in range(4):
        graph.replay()
        outs.append(out.cpu())
    assert torch.equal(torch.cat(outs), torch.cat(expected))


def record(x: torch.Tensor, wrong: Callable[[], object]) -> None:
    with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=torch.cuda.Stream()):
        x.add_(1)
        wrong()


def test_a_recording_refuses_waits_copies_and_strange_generators() -> None:
    x, generator = torch.rand(4, device="cuda"), torch.Generator("cuda")
    refused = "operation not permitted when stream is capturing"
    cases = {
        lambda: x.sum().item(): refused,
        lambda: x.cpu(): refused,
        lambda: x.copy_(torch.zeros(4)): refused,
        lambda: torch.cuda.synchronize(): refused,
        lambda: x.normal_(generator=generator): "Attempt to increase offset",
    }
    before = x.cpu()
    for wrong, words in cases.items():
        with pytest.raises(RuntimeError, match="failed due to a previous error") as caught:
            record(x, wrong)
        assert words in str(caught.value.__context__)
        assert torch.equal(x.cpu(), before)
    assert not torch.cuda.is_current_stream_capturing()
