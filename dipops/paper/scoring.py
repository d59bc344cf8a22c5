"""Scores of images that another system made, by an experiment's own protocol."""

from pathlib import Path
from statistics import mean

from torch import Tensor

from dipops import images
from dipops.errors import BadFile, BadValue
from dipops.images.picture import size_of
from dipops.paper.experiments import Experiment, mean_over
from dipops.paper.tables import COLUMNS, Table

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


def score(row: Experiment, folder: Path, data: Path) -> Table:
    """A row for each image of ``folder`` that has the name of an image of the experiment, and their mean.

    Where the experiment cuts its images to a multiple of 32, images of the full size are cut alike. A printed figure is shown
    where it is of the same images.

    Raises:
        BadValue: the experiment has no ground truth to score by.
        BadFile: there is no image in the folder, or one is of another size.
    """
    if row.score is None:
        raise BadValue(f"{row.name}, which has no ground truth", "an experiment with a score", "see dipops paper list")
    scores = {}
    for image in row.images:
        for path in [folder / f"{image.name}{suffix}" for suffix in _SUFFIXES]:
            if path.is_file():
                truth = row.problem_for(image.name, data).truth
                assert truth is not None
                scores[image.name] = float(row.score(_fitted(path, truth[0], image.shape), truth))
                break
    if not scores:
        raise BadFile(
            f"no image of {row.name} in {folder}", "some of its images", f"dipops paper list {row.name} shows their names"
        )
    rows = [*scores.items(), ("mean", mean(scores.values()))]
    rows += [
        (f"printed: {system} ({COLUMNS[column]})", mean_over(figure, scores))
        for system, figures in row.printed.items()
        for column, figure in figures.items()
        if row.prints_for(figure, scores)
    ]
    notes = f"{row.metric} in dB, {len(scores)} of {len(row.images)} images of {folder}."
    return Table(row.title, notes, ["image", str(row.metric)], [[name, f"{value:.2f}"] for name, value in rows])


def _fitted(path: Path, truth: Tensor, whole: tuple[int, int, int]) -> Tensor:
    """An image with the channels and the size of the ground truth, (1, C, H, W)."""
    image = images.load(path)
    if len(image) != len(truth):
        image = image.expand(len(truth), -1, -1) if len(image) == 1 else image.mean(0, keepdim=True)
    if image.shape[1:] not in (truth.shape[1:], whole[1:]):
        actual, expected = map(size_of, (image, truth))
        raise BadFile(f"{path} of {actual} pixels", expected, "score images of the full size")
    return images.centre_crop(image, truth.shape[1:])[None]
