"""The rows of a study's table, and the notes below it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from dipops.contestants import ANSWER, AVERAGE, LAST, ORACLE, STOPPED
from dipops.noise import Gaussian
from dipops.problem import Problem
from dipops.study.records import Name, Record, machine, scores_of, versions
from dipops.study.statistics import Draw, deviation, difference, least_p, mean

PSNR, SSIM = "psnr", "ssim"
COLUMNS = (ANSWER, LAST, AVERAGE, STOPPED, ORACLE)
EMPTY = "–"
_FEW = 6
_ALL_STEPS = "made all "
Row = dict[str, Any]


def row_of(operator: str | None, contestant: str, records: Sequence[Record], reference: Sequence[Record]) -> Row:
    """The row of a contestant, from its runs and those of the contestant that it is compared with."""
    made = [record for record in records if "failure" not in record]
    row: Row = {
        "operator": operator,
        "contestant": contestant,
        "images": len({record["run"]["image"] for record in made}),
        "images_in_all": len({record["run"]["image"] for record in records}),
        "runs": len(made),
        "runs_in_all": len(records),
    }
    scored = {PSNR: (ANSWER, PSNR), SSIM: (ANSWER, SSIM), **{column: (column, PSNR) for column in COLUMNS[1:]}}
    for name, (column, metric) in scored.items():
        by_image = _by_image(made, column, metric)
        row |= {name: mean(by_image) if by_image else None, f"{name}_sd": deviation(by_image) if by_image else None}
    paired = None
    if contestant != reference[0]["run"]["contestant"]:
        paired = difference(_by_image(made, ANSWER, PSNR), _by_image(reference, ANSWER, PSNR))
    names = {"difference": "mean", "low": "low", "high": "high", "p": "p", "pairs": "images"}
    row |= {name: getattr(paired, attribute, None) for name, attribute in names.items()}
    row |= {name: fmean(float(record[name]) for record in made) if made else None for name in ("data_psnr", "seconds", "steps")}
    return {**row, "ended": made[0]["ended"] if len(records) == 1 and made else None}


def cells_of(row: Row, reference: str, several: bool) -> dict[str, str]:
    """The cells of a row by their heads; ``several`` operators have a column of their own."""
    heads = {"PSNR (dB)": PSNR, "SSIM": SSIM, "last output": LAST, AVERAGE: AVERAGE, STOPPED: STOPPED, ORACLE: ORACLE}
    cells = {"operator": row["operator"] if several else "", "contestant": row["contestant"] + _missing(row)}
    cells |= {head: _with_deviation(row[name], row[f"{name}_sd"], 3 if name == SSIM else 2) for head, name in heads.items()}
    cells[f"minus {reference} (dB)"] = _interval(row)
    cells["p"] = "" if row["p"] is None else "< 0.001" if row["p"] < 0.001 else f"{row['p']:.3g}"
    for head, name, digits in (("data PSNR (dB)", "data_psnr", 1), ("seconds", "seconds", 1), ("steps", "steps", 0)):
        cells[head] = "" if row[name] is None else f"{row[name]:.{digits}f}"
    return {**cells, "ended": row["ended"] or ""}


def notes_of(rows: Sequence[Row], records: Sequence[Record], reference: str) -> list[str]:
    """What the table shows, on what it was made, and what failed, in sentences."""
    made = [record for record in records if "failure" not in record]
    notes = [_about_means(rows, records)]
    pairs = [row["pairs"] for row in rows if row["p"] is not None]
    if pairs:
        few = f" With {min(pairs)} images p is never below {least_p(min(pairs)):.4g}." if min(pairs) < _FEW else ""
        paired = "mean [95% confidence interval of the mean by Student's t], p of Wilcoxon's signed-rank test"
        notes.append(f"Differences in PSNR from {reference}, paired by image: {paired}.{few}")
    if any(row[STOPPED] is not None for row in rows):
        stopped = "Stopped: by a rule that does not see the ground truth; the answer where it had not stopped at the last step."
        oracle = "the best of the steps that were made, by the ground truth, which is not known in practice"
        notes.append(f"{stopped} Oracle: {oracle}; chosen before clipped noise is corrected.")
    notes += _unconverged(made)
    if made:
        machines = " and on ".join(sorted({machine(record) for record in made}))
        notes.append(f"Run on {machines}, with {versions(made)}.")
    return [*notes, *failures_of(records)]


def measured_by(problems: Mapping[Name, Problem]) -> str:
    """Which operators measured the images, and with what noise, in a sentence."""
    operators: dict[str, dict[str, None]] = defaultdict(dict)
    for (operator, _), problem in problems.items():
        operators[_noise_of(problem)][operator or type(problem.operator).__name__] = None
    parts = [f"by {' and '.join(names)} with {noise}" for noise, names in operators.items()]
    return f"Measured {'; '.join(parts)}."


def _noise_of(problem: Problem) -> str:
    """The noise of a problem in words, with σ in units of 8 bits too."""
    noise = problem.noise
    if noise is None:
        return "noise that is not known"
    if problem.is_noise_free:
        return "no noise"
    return f"{noise} ({noise.sigma * 255:.4g}/255)" if isinstance(noise, Gaussian) else str(noise)


def _about_means(rows: Sequence[Row], records: Sequence[Record]) -> str:
    images, noises = max(row["images_in_all"] for row in rows), {record["run"]["noise_seed"] for record in records} - {None}
    seeds = {record["run"]["seed"] for record in records} - {None}
    about = "PSNR and SSIM are of values clipped to [0, 1]"
    over = f"means over {images} images" if images > 1 else "one image"
    draws = max(len(seeds), len(noises))
    deviations = f", ± the standard deviation over {draws} seeds" if draws > 1 else ""
    noise = "; y is drawn anew for each seed" if len(noises) > 1 else ""
    return f"{about}, {over}{deviations}{noise}."


def _unconverged(records: Iterable[Record]) -> list[str]:
    """Which contestants without random draws made all their steps, and so did not converge, and how often."""
    ended: dict[str, list[bool]] = defaultdict(list)
    for record in records:
        if record["run"]["seed"] is None:
            ended[record["run"]["contestant"]].append(record["ended"].startswith(_ALL_STEPS))
    return [
        f"{name}: {sum(late)} of {len(late)} runs ended before they converged." for name, late in ended.items() if any(late)
    ]


def failures_of(records: Iterable[Record]) -> list[str]:
    """Who failed on what, and why: a sentence for each reason of each contestant."""
    failed: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for record in records:
        if "failure" in record:
            run = record["run"]
            problem = run["image"] if run["operator"] is None else f"{run['image']} ({run['operator']})"
            failed[run["contestant"], record["failure"]][problem] = None
    return [f"{name} failed on {', '.join(problems)}: {reason}" for (name, reason), problems in failed.items()]


def _by_image(records: Iterable[Record], column: str, metric: str) -> dict[str, dict[Draw, float]]:
    scores: dict[str, dict[Draw, float]] = defaultdict(dict)
    for record in records:
        value = scores_of(record).get(column, {}).get(metric)
        if value is not None:
            run = record["run"]
            scores[run["image"]][run["noise_seed"], run["seed"]] = value
    return scores


def _missing(row: Row) -> str:
    """What a contestant lacks, where it failed."""
    if row["images"] < row["images_in_all"]:
        return f" ({row['images']} of {row['images_in_all']} images)"
    return f" ({row['runs']} of {row['runs_in_all']} runs)" if row["runs"] < row["runs_in_all"] else ""


def _with_deviation(value: float | None, deviation: float | None, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" + ("" if deviation is None else f" ± {deviation:.{digits}f}")


def _interval(row: Row) -> str:
    """The mean difference and its confidence interval, where there are several images."""
    return "" if row["low"] is None else f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
