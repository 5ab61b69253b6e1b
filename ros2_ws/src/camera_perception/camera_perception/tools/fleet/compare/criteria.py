"""Pass criteria of a fleet: limits on figures and on how much worse they may get. A YAML file, or the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camera_perception.core.documents.parsing import read_yaml
from camera_perception.tools.fleet.compare.figures import FIGURES, SLICES
from camera_perception.tools.fleet.store.storage import StoreError

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
BETTER = {figure.name: figure.better for figure in FIGURES}


@dataclass(frozen=True)
class Criterion:
    """One row of the file.

    figure        a name of FIGURES
    slice         all, recording, camera, weather, scene, timeofday or speed: the limit holds for each of its values
    value         only for this value of the slice; "": for all
    maximum       limit of the new run; minimum likewise
    worse         largest change in the bad direction, absolute
    images        values with fewer images in either run are not judged
    """

    figure: str
    slice: str = "all"
    value: str = ""
    maximum: float | None = None
    minimum: float | None = None
    worse: float | None = None
    images: int = 30


DEFAULTS = (
    Criterion("undecodable", "recording", worse=0.01, images=1),
    Criterion("flicker", "all", worse=0.02),
    Criterion("flicker", "recording", worse=0.1),
    Criterion("ego_lane", "all", worse=0.02),
    Criterion("ego_lane", "timeofday", worse=0.05, images=200),
    Criterion("det_seg", "all", worse=0.03),
    Criterion("height_error", "all", worse=0.03),
)


@dataclass(frozen=True)
class Verdict:
    """One criterion on one value of its slice: figure before and after, and what it broke ("" when it passed)."""

    criterion: Criterion
    value: str
    before: float | None
    after: float | None
    broken: str


def read_criteria(path: Path | None) -> tuple[Criterion, ...]:
    """The criteria of a YAML file, `criteria: [{figure: flicker, slice: weather, worse: 0.02}, ...]`."""
    if path is None:
        return DEFAULTS
    try:
        rows = read_yaml(path)["criteria"]
        criteria = tuple(Criterion(**row) for row in rows)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: expected criteria: [{{figure: ..., worse: ...}}] ({str(error)[:200]})") from error
    for each in criteria:
        if each.figure not in BETTER or each.slice not in ("all", *SLICES):
            raise StoreError(f"{path}: {each.figure} on {each.slice}: expected {', '.join(BETTER)} on all, {SLICES}")
    return criteria


def judge(criteria: tuple[Criterion, ...], before: Figures, after: Figures) -> list[Verdict]:
    """All criteria on all values of their slices that both runs have."""
    verdicts = []
    for each in criteria:
        old, new = before.get(each.slice, {}), after.get(each.slice, {})
        for value in sorted(old.keys() & new.keys()):
            enough = min(old[value].get("images", 0), new[value].get("images", 0)) >= each.images
            if enough and each.value in ("", value):
                verdicts.append(_judge(each, value, old[value].get(each.figure), new[value].get(each.figure)))
    return verdicts


def _judge(each: Criterion, value: str, before: float | None, after: float | None) -> Verdict:
    broken = []
    if after is None:
        broken += ["no figure any more"] if before is not None else []
    else:
        broken += [f"above {each.maximum:g}"] if each.maximum is not None and after > each.maximum else []
        broken += [f"below {each.minimum:g}"] if each.minimum is not None and after < each.minimum else []
        if each.worse is not None and before is not None and worsening(each.figure, before, after) > each.worse:
            broken.append(f"worse by more than {each.worse:g}")
    return Verdict(each, value, before, after, ", ".join(broken))


def worsening(figure: str, before: float, after: float) -> float:
    """How much worse a figure got; of a figure without direction, how much it changed. Negative: better."""
    change = after - before
    return -BETTER[figure] * change if BETTER[figure] else abs(change)


def values_of(figures: Figures, name: str) -> dict[str, Any]:
    """The values of a slice."""
    return dict(figures.get(name, {}))
