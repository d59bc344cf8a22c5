"""The one loop: solve a problem with a prior by a method."""

from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dipops._tools.allocator import reused_memory
from dipops._tools.batches import per_image
from dipops._tools.defaults import usual_defaults
from dipops._tools.precision import float32_of_steps, full_float32
from dipops._tools.progress import progress_bar
from dipops.errors import BadType, BadValue, require_instance, require_integer, safe_repr
from dipops.methods import Descent, Method, default_method
from dipops.methods.interface import require_method
from dipops.operators import LinearOrDifferentiableOperator
from dipops.priors import Prior
from dipops.problem import Problem, require_problem
from dipops.solver.checkpoint import Checkpoint, fingerprint
from dipops.solver.divergence import Health
from dipops.solver.result import Result, Source, Status
from dipops.solver.run import Ending, Run
from dipops.solver.snapshots import Snapshots, resume
from dipops.stopping import Callback, Discrepancy, Observe, Observed, Step, StopRule


@usual_defaults()
@full_float32()
@torch.inference_mode(False)
def solve(
    problem: Problem,
    prior: Prior,
    method: Method | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    callbacks: Sequence[StopRule | Observe | Callback] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Result:
    """Minimise D(A(g(θ)), y) + R(g(θ)) over θ, each image of a batch by itself.

    The same seed, threads and PyTorch give the same bits on a CPU, in several threads at once too. Global random state is
    neither used nor changed. It works under ``torch.no_grad`` and ``torch.inference_mode``. An autocast, or another
    default dtype or device of PyTorch, does not change the bits.

    Where the objective of Descent or Langevin is not finite, or rises 5 dB above its lowest level and stays there, the solve
    goes back to its last good state, and on from there at half the rate. After five such divergences in a row it ends there,
    and says so. The divergence of one member takes the whole batch back.

    While it runs, a solve keeps freed memory for its next step (see ``dipops._tools.allocator``; DIPOPS_REUSE_MEMORY=0
    switches this off).

    Args:
        problem: operator and measurement.
        prior: g and R; it is left as it was.
        method: how θ moves; by default PrimalDual for TotalVariation and ConjugateGradient for Tikhonov where the operator is
            linear, else Descent with Adam at 0.01.
        steps: number of steps at most; by default the method's own.
        seed: of everything random; member k of a batch gets seed + k.
        callbacks: stopping rules, which replace the tolerance of a convex method: the solve ends once each member of the
            batch is done by one of them; ``Observe(rule)`` and ``Oracle()``, which are only followed; and functions
            that are given a Step now and then and return None or the reason to stop. By default a Descent with a generator
            stops by ``Discrepancy()`` where the noise is known, since it would fit the noise too; ``()`` makes all steps.
        checkpoint: a file in which the state is saved now and then and at the end. Where it exists, the solve resumes from
            it and ends with the bits of one that was never interrupted (on a CPU with as many threads); a finished solve
            repeats its last few steps, and a larger ``steps`` continues it. It must be the same solve: operator, prior, method,
            and callbacks are compared by their repr, tensors, plain public attributes and the names of functions.
        progress: whether to show a bar.

    Raises:
        BadType: something is not what it is called, such as a class instead of its instance.
        BadValue: steps is not positive, or prior and problem do not fit.
        BadFile: the checkpoint cannot be written, or is damaged or of another solve; it is then left as it was.
        Diverged: the objective was not finite before a first good state, at five ever lower learning rates.
    """
    require_solvable(problem, prior, method, callbacks or (), steps)
    seed = require_integer("seed", seed, 0, "leave it out for 0")
    method, given = method or default_method(problem, prior), problem
    problem = own_problem(problem, method)
    started = deepcopy(prior)
    started.start(problem, [seed + k for k in range(len(problem.y))])
    if callbacks is None:
        callbacks = default_callbacks(problem, prior, method)
    rules = [callback for callback in callbacks if isinstance(callback, StopRule | Observe)]
    functions = [callback for callback in callbacks if not isinstance(callback, StopRule | Observe)]
    run = Run(problem, started, method, steps or method.steps, seed, rules)
    file = None
    with ExitStack() as stack:
        if checkpoint is not None:
            marks = fingerprint(problem, run.iteration, prior, method, callbacks, seed)
            file = stack.enter_context(Checkpoint(Path(checkpoint), marks))
            resume(run, file)
        stack.enter_context(reused_memory(not prior.recompute))
        snapshots = Snapshots(run, file)
        with float32_of_steps(run.iteration.precision), progress_bar(run.steps, progress, done=run.index) as bar:
            _iterate_or_save(run, snapshots, functions, bar)
        snapshots.save()
        return _result(run, started, seed, (problem if _fits_operator(method) else given).operator)


def own_problem(problem: Problem, method: Method) -> Problem:
    """The problem, or where its operator has parameters or a tensor is of inference_mode, a copy that a solve may use.

    Parameters of the operator require gradients only where the method fits them.
    """
    tensors = (problem.y, *problem.operator.parameters(), *problem.operator.buffers())
    if not any(tensor.is_inference() or tensor.requires_grad for tensor in tensors):
        return problem
    problem = deepcopy(problem)
    if not _fits_operator(method):
        problem.operator.requires_grad_(False)
    return problem


def _fits_operator(method: Method) -> bool:
    return isinstance(method, Descent) and method.fit_operator


def default_callbacks(problem: Problem, prior: Prior, method: Method) -> Sequence[StopRule]:
    """The discrepancy principle where a generator would fit the noise too."""
    return [Discrepancy()] if problem.is_noisy and not prior.on_pixels and isinstance(method, Descent) else []


def require_solvable(
    problem: Problem, prior: Prior, method: Method | None, callbacks: Sequence[object], steps: int | None
) -> None:
    """Refuse what newcomers write instead of the arguments of ``solve``; raises as it does."""
    require_problem(problem)
    advice = "write recipe.solve(problem)" if hasattr(prior, "prior") else "write for example TotalVariation(0.1)"
    require_instance(prior, Prior, "prior", "a prior, such as DeepImagePrior()", advice)
    require_method(method)
    for callback in callbacks:
        if isinstance(callback, type) or not (isinstance(callback, StopRule | Observe) or callable(callback)):
            expected = "a stopping rule, Observe(rule) or a function of a Step"
            raise BadType(f"the callback {safe_repr(callback)}", expected, "write for example stopping.Discrepancy()")
    if steps is not None:
        require_steps(steps)


def require_steps(steps: int) -> None:
    """Refuse a number of steps that is not positive, or that no solve could count."""
    require_integer("steps", steps, 1, "leave it out for the method's own number")
    most = torch.iinfo(torch.int32).max
    if steps > most:
        raise BadValue(f"steps = {steps}", f"at most {most}", "leave it out for the method's own number")


def _iterate_or_save(run: Run, snapshots: Snapshots, functions: Sequence[Callback], bar: Any) -> None:
    """Make all steps; on Ctrl-C the last good state is saved first."""
    try:
        _iterate(run, snapshots, functions, bar)
    except KeyboardInterrupt:
        snapshots.save()
        raise


def _iterate(run: Run, snapshots: Snapshots, functions: Sequence[Callback], bar: Any) -> None:
    """Make steps until something ends the solve."""
    while run.ending is None and run.index < run.steps:
        read = run.step()
        health = run.health() if read else None
        if health is Health.DIVERGED:
            snapshots.roll_back()
        else:
            reason = _call(functions, run.report(), bar) if read else None
            run.ending = run.decision(read) if reason is None else reason
        if health is Health.OK:
            snapshots.take()
        bar.update(run.index - bar.n)


def _call(functions: Sequence[Callback], step: Step, bar: Any) -> Ending | None:
    """Show a step in the bar and give it to all functions: the first reason to stop."""
    postfix = {"objective": f"{float(step.objective.mean()):.4g}"}
    if step.psnr is not None:
        postfix["PSNR"] = f"{float(step.psnr.mean()):.2f} dB"
    bar.set_postfix(postfix, refresh=False)
    reasons = [function(step) for function in functions]
    for reason in reasons:
        if reason is not None and not isinstance(reason, str):
            raise BadType(
                f"a callback that returned {safe_repr(reason)}", "None, or the reason to stop", "end it with return None"
            )
    return next(((Status.STOPPED, reason) for reason in reasons if reason), None)


def _result(run: Run, prior: Prior, seed: int, operator: LinearOrDifferentiableOperator) -> Result:
    image, image_steps, source = _chosen(run)
    status, message = run.ending or (Status.MAX_STEPS, f"made all {run.steps} steps")
    with torch.no_grad():
        objective = run.problem.data_term(image) + prior.value(image)
        data_psnr = run.problem.data_psnr(image)
    return Result(
        image=image,
        status=status,
        message=message,
        source=source,
        image_steps=image_steps.cpu(),
        last=run.last,
        average=run.average,
        std=run.mean.std if run.mean else None,
        objective=objective.cpu(),
        data_psnr=data_psnr.cpu(),
        observed=tuple(Observed(rule.image, rule.image_steps.cpu(), rule.done.cpu()) for rule in run.observed),
        operator=operator,
        projected=torch.zeros(len(image), dtype=torch.bool),
        debiased=torch.zeros(len(image), dtype=torch.bool),
        trace=run.trace.window(0, run.index),
        steps=run.index,
        rollbacks=run.guard.rollbacks if run.guard else 0,
        precision=run.iteration.precision,
        seconds=run.seconds,
        seed=seed,
    )


def _chosen(run: Run) -> tuple[Tensor, Tensor, tuple[Source, ...]]:
    """The answer of each member, its step and where it is from.

    It is the image of the rule that stopped first; without one, of the first rule that keeps an image; else the answer so far.
    """
    image = run.answer
    steps = torch.full((len(image),), run.index, device=image.device)
    undecided, nothing = torch.iinfo(torch.int64).max - 1, torch.iinfo(torch.int64).max
    first = torch.full_like(steps, nothing)
    for rule in run.rules:
        when = torch.where(rule.done, rule.end_steps, torch.where(rule.image_steps > 0, undecided, nothing))
        sooner = when < first
        image = torch.where(per_image(sooner, image), rule.image, image)
        steps, first = torch.where(sooner, rule.image_steps, steps), torch.where(sooner, when, first)
    sources: dict[int, Source] = {nothing: "last" if run.average is None else "average", undecided: "kept"}
    return image, steps, tuple(sources.get(when, "stopped") for when in first.tolist())
