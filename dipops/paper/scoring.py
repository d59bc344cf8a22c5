"""Scores of pictures that somebody else made, by an experiment's own protocol."""

from pathlib import Path
from statistics import mean

from torch import Tensor

from dipops import images
from dipops.errors import BadFile, BadValue
from dipops.paper.experiments import Experiment
from dipops.paper.pictures import Source
from dipops.paper.tables import COLUMNS, Table

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


def score(row: Experiment, folder: Path, data: Path) -> Table:
    """One line for each picture of ``folder`` that is named like a picture of the experiment, and their mean.

    Where the experiment cuts its pictures to a multiple of 32, one of the whole size is cut alike. A printed figure stands
    beside them where it is of the same pictures.

    Raises:
        BadValue: the experiment has no truth to score by.
        BadFile: there is no such folder or picture in it, or one is of another size.
    """
    if row.score is None:
        raise BadValue(f"{row.name}, which has no truth", "an experiment with a score", "see dipops paper list")
    if not folder.is_dir():
        raise BadFile(f"no folder {folder}", "a folder of pictures", "look at --images")
    scores = {}
    for case in row.cases:
        path = next((path for suffix in _SUFFIXES if (path := folder / f"{case.name}{suffix}").is_file()), None)
        if path is None:
            continue
        truth = row.posed(case.name, data).truth
        assert truth is not None
        scores[case.name] = float(row.score(_fitted(path, truth[0], case.sources["truth"]), truth))
    if not scores:
        names = ", ".join(case.name for case in row.cases)
        raise BadFile(f"{folder} without a picture of {row.name}", f"some of {names}", "name the files so")
    lines = [[name, f"{value:.2f}"] for name, value in scores.items()]
    notes = f"{row.metric} in dB, {len(scores)} of {len(row.cases)} pictures of {folder}."
    printed = [
        [f"printed: {one.system} ({COLUMNS[one.column]})", f"{one.over(scores):.2f}"]
        for one in row.printed
        if one.by_picture or len(scores) == len(row.cases)
    ]
    heads = ["picture", row.metric]
    return Table(row.title, notes, heads, [*lines, ["mean", f"{mean(scores.values()):.2f}"], *printed])


def _fitted(path: Path, truth: Tensor, whole: Source) -> Tensor:
    image = images.load(path)
    if len(image) != len(truth):
        image = image.expand(len(truth), -1, -1) if len(image) == 1 else image.mean(0, keepdim=True)
    height, width = truth.shape[1:]
    if tuple(image.shape[1:]) not in (tuple(truth.shape[1:]), whole.shape[1:]):
        came = f"{path} of {image.shape[1]} x {image.shape[2]} pixels"
        raise BadFile(came, f"{height} x {width}", "score pictures of the full size")
    return images.centre_crop(image, (height, width))[None]
