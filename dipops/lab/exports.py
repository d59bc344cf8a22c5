"""What a visitor takes home: images, and a record of settings and scores."""

from io import BytesIO
from typing import Any
from zipfile import ZipFile

from dipops._tools.files import json_content, package_version
from dipops.lab.choices import PRIORS
from dipops.lab.pictures import Picture
from dipops.lab.script import python_of
from dipops.lab.settings import Settings
from dipops.lab.solving import Snapshot


def record_of(settings: Settings, snapshot: Snapshot) -> bytes:
    """Settings, scores and curves as JSON."""
    record: dict[str, Any] = {
        "dipops": package_version("dipops"),
        "settings": settings.plain(),
        "residual of the ground truth": snapshot.noise_level,
        "priors": {
            PRIORS[prior]: {
                "state": track.state,
                **track.record,
                "curve": {
                    "step": [point.step for point in track.curve],
                    "psnr": [point.psnr for point in track.curve],
                    "residual": [point.residual for point in track.curve],
                },
            }
            for prior, track in snapshot.tracks.items()
        },
    }
    return json_content(record)


def archive_of(settings: Settings, snapshot: Snapshot, photo_name: str) -> bytes:
    """A ZIP file of all images in PNG, the record and the Python."""
    pictures: dict[str, Picture | None] = {"ground-truth": snapshot.truth, "measurement": snapshot.measured}
    for prior, track in snapshot.tracks.items():
        pictures[prior] = track.shown
        pictures |= {f"{prior}-step-{step:05d}": kept for step, kept in track.kept}
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, picture in pictures.items():
            if picture is not None:
                archive.writestr(f"{name}.png", picture.png)
        archive.writestr("lab.json", record_of(settings, snapshot))
        archive.writestr("lab.py", python_of(settings, photo_name))
    return file.getvalue()
