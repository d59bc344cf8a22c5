"""The states that a solve can go back to, in memory and in a file."""

import warnings
from copy import deepcopy
from typing import Any

from dipops.errors import BadFile, BadValue
from dipops.solver.checkpoint import Checkpoint
from dipops.solver.run import Run


class Snapshots:
    """Two states of a run, and the file in which the older one is saved.

    ``last_good`` is a state from which a whole stretch of steps was seen to converge; ``candidate`` is the newest one, which is
    not confirmed yet: the step just before it may have diverged. Nothing is kept of a run that neither goes back nor is saved.

    Args:
        run: whose states they are.
        file: the checkpoint, or None.
    """

    def __init__(self, run: Run, file: Checkpoint | None) -> None:
        self._run, self._file = run, file
        self._needed = run.guard is not None or file is not None
        self.last_good = self.candidate = self._copy()

    def take(self) -> None:
        """Make the candidate the last good state and take a new one; now and then save the last good one."""
        self.last_good, self.candidate = self.candidate, self._copy()
        if self._file is not None and self._file.due:
            self.save()

    def roll_back(self) -> None:
        """Go back to the last good state, and on from there at a lower rate, or give up.

        Where that is the start, the solve gives up at the candidate: its image is good, whatever the step after it did.
        """
        diverged_at, given_up = self._run.index, self._run.gives_up
        unconfirmed = given_up and self.last_good["index"] == 0
        self._run.load_state_dict(self.candidate if unconfirmed else self.last_good)
        if given_up:
            self._run.end_rolled_back(diverged_at)
        else:
            self._run.slow_down()
            self.last_good = self.candidate = self._copy()

    def save(self) -> None:
        """Save the last good state; where that fails, as on a full disk, the solve is worth more than its checkpoint."""
        if self._file is None:
            return
        try:
            self._file.save(self.last_good | {"trace": self._run.trace.window(0, self.last_good["index"])})
        except BadFile as error:
            warnings.warn(f"the solve continues without a new checkpoint: {error}", stacklevel=2)

    def _copy(self) -> dict[str, Any]:
        return deepcopy(self._run.state_dict()) if self._needed else {}


def resume(run: Run, file: Checkpoint) -> None:
    """Continue a run from its checkpoint, where that holds a state.

    Raises:
        BadFile: the file holds no state of this run.
        BadValue: it holds one of more steps than the run has.
    """
    state = file.load(run.problem.y)
    if state is None:
        return
    if not isinstance(state, dict) or not isinstance(state.get("index"), int):
        raise BadFile(f"{file.path} holds no state of a solve", "what solve writes", "delete it to start again")
    if state["index"] > run.steps:
        came = f"a checkpoint after {state['index']} steps for a solve of {run.steps}"
        raise BadValue(came, "no fewer steps than it has made", "raise steps, or name another checkpoint")
    try:
        run.resume(state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise BadFile(
            f"{file.path} holds another state ({error!r})", "what solve writes", "delete it to start again"
        ) from error
