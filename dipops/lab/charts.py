"""The curves of a run as options of Apache ECharts, and as plain values."""

from collections.abc import Mapping
from typing import Any

from dipops.lab.solving import Point, Snapshot, Track

COLOURS = {"dip": "#c2410c", "tv": "#1d4ed8", "tikhonov": "#047857", "none": "#57534e"}
_INK = "#334155"
_LEAST_RESIDUAL = 1e-8  # below which float32 shows its rounding alone
_SHORT = {"dip": "DIP", "tv": "TV", "tikhonov": "Tikhonov", "none": "no prior"}
_NAMES = {"psnr": "PSNR (dB)", "residual": "residual (RMS)"}


def chart(snapshot: Snapshot | None, curve: str) -> dict[str, Any]:
    """One of the curves, "psnr" or "residual", of all priors over the steps."""
    tracks: Mapping[str, Track] = {} if snapshot is None else snapshot.tracks
    ends = _steps(tracks)
    series = [_line(prior, track, curve, ends) for prior, track in tracks.items()]
    name = _NAMES[curve]
    if curve == "residual" and snapshot is not None and snapshot.noise_level > 0 and series:
        series[0]["markLine"] = _marks([_level(snapshot.noise_level)])
        name += "; dashed: ground truth"
    text = {"color": _INK, "fontSize": 12}
    return {
        "animation": False,
        "grid": {"left": 52, "right": 18, "top": 90, "bottom": 40},
        "legend": {"right": 8, "top": 26, "itemWidth": 18, "textStyle": text},
        "tooltip": {"trigger": "axis"},
        "title": {"text": name, "textStyle": {"color": _INK, "fontSize": 14, "fontWeight": 500}, "left": 8, "top": 4},
        "xAxis": _axis("log", text) | {"name": "step", "nameLocation": "middle", "nameGap": 26, **ends},
        "yAxis": _axis("log" if curve == "residual" else "value", text) | {"scale": True},
        "series": series,
    }


def _steps(tracks: Mapping[str, Track]) -> dict[str, int]:
    """The ends of the axis of steps."""
    return {"min": 5, "max": max([50, *(track.curve[-1].step for track in tracks.values() if track.curve)])}


def _axis(kind: str, text: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "axisLabel": text, "nameTextStyle": text, "splitLine": {"lineStyle": {"color": "#e2e8f0"}}}


def _line(prior: str, track: Track, curve: str, ends: dict[str, int]) -> dict[str, Any]:
    points = [[point.step, _value(point, curve)] for point in track.curve]
    line: dict[str, Any] = {
        "type": "line",
        "name": _SHORT[prior],
        "data": points,
        "showSymbol": len(points) == 1,
        "lineStyle": {"width": 2.5},
        "color": COLOURS[prior],
    }
    if curve == "psnr" and track.marks:
        line["markLine"] = _marks([_upright(mark.rule, mark.step, place, ends) for place, mark in enumerate(track.marks)])
    return line


def _value(point: Point, curve: str) -> float:
    return round(point.psnr, 3) if curve == "psnr" else float(f"{max(point.residual, _LEAST_RESIDUAL):.3g}")


def _marks(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"symbol": "none", "silent": True, "animation": False, "data": lines}


def _upright(rule: str, step: int, place: int, ends: dict[str, int]) -> dict[str, Any]:
    """A line at a step; its name has a height of its own, and stands on the side where there is space."""
    is_left = step**2 < ends["min"] * ends["max"]  # of the middle, on a logarithmic axis
    label = {
        "formatter": f"{rule}: {step}",
        "color": _INK,
        "fontSize": 11,
        "align": "left" if is_left else "right",
        "distance": [0, 2 + 13 * place],
    }
    return {"xAxis": step, "label": label, "lineStyle": {"color": _INK, "type": ["solid", "dashed", "dotted"][place % 3]}}


def _level(value: float) -> dict[str, Any]:
    return {"yAxis": value, "label": {"show": False}, "lineStyle": {"color": _INK, "type": "dashed"}}
