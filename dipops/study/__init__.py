"""Many runs, one after the other or by the workers of a cluster, into a folder from which an interrupted study goes on."""

from dipops.study.cluster import dask_client, run_on
from dipops.study.records import Record, Task, machine, scores_of, versions
from dipops.study.runner import run
from dipops.study.store import MARK, Store

__all__ = [
    "MARK", "Record", "Store", "Task", "dask_client", "machine", "run", "run_on", "scores_of", "versions",
]  # fmt: skip
