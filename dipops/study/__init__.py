"""Many runs, one after the other or by the workers of a cluster, into a folder from which an interrupted study goes on."""

from dipops.contestants import BestWeight, Contestant
from dipops.study.cluster import dask_client, run_on
from dipops.study.plan import problems_of, study
from dipops.study.records import Record, Task, machine, scores_of, versions
from dipops.study.report import Study
from dipops.study.runner import run
from dipops.study.store import MARK, Store

__all__ = [
    "MARK", "BestWeight", "Contestant", "Record", "Store", "Study", "Task", "dask_client", "machine", "problems_of", "run",
    "run_on", "scores_of", "study", "versions",
]  # fmt: skip
