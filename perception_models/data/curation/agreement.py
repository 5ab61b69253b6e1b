"""Fusion of what several detectors and views find: objects that they agree on, and uncertain ones to ignore."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from perception_models.data.curation.boxes import Box, iou, mean
from perception_models.data.curation.teachers import Finding

VEHICLES = ("car", "bus", "truck", "train", "vehicle")
TWO_WHEELERS = ("bicycle", "motorcycle", "two-wheeler")
COARSE = ("vehicle", "two-wheeler")  # group names, no classes
DECEPTIVE = ("person", "bus", "train")  # other things are often taken for these
HYDRANT = "fire hydrant"  # background, known only because it looks like a small person
SAME_OBJECT = 0.5  # IoU


@dataclass(frozen=True)
class Rules:
    """When findings become a label.

    score      minimum of the best finding
    second     minimum of a finding in another view that confirms it
    views      confirming views needed, the best included
    ignore     minimum score of the best finding of an ignored object; what all views score lower is background
    alone      the same for an object that only one view finds at all
    certainty  minimum fraction of the scores that the class must have within its group
    light      minimum score of the best finding of a traffic light: yellow signs reach 0.5
    person     the same of a person: cones and barrels reach 0.55 in small tiles
    more_views confirming views needed for a person, a bus or a train: cones and shops reach 0.6 in two
    """

    score: float = 0.5
    second: float = 0.3
    views: int = 2
    ignore: float = 0.25
    alone: float = 0.35
    certainty: float = 0.65
    light: float = 0.6
    person: float = 0.55
    more_views: int = 3


@dataclass(frozen=True)
class Proposal:
    """One object as the detectors see it.

    box            pixels
    name           as in Finding, without group names
    score          of the best finding
    views          number of confirming views
    ignore_reason  why the object is ignored; empty: it becomes a label
    """

    box: Box
    name: str
    score: float
    views: int
    ignore_reason: str = ""


def group(name: str) -> str:
    """Names that detectors confuse with each other are of one group."""
    if name in VEHICLES:
        return "vehicle"
    return "two-wheeler" if name in TWO_WHEELERS else "person" if name == HYDRANT else name


def fuse(findings: Sequence[Finding], rules: Rules = Rules()) -> list[Proposal]:
    """Proposals for all objects that are not background, best first."""
    proposals = [_proposal(cluster, rules) for cluster in clusters(findings) if not _background(cluster, rules)]
    return [proposal for proposal in proposals if proposal.name != HYDRANT]


def _background(cluster: list[Finding], rules: Rules) -> bool:
    several = len({finding.view for finding in cluster}) > 1
    return cluster[0].score < (rules.ignore if several else rules.alone)


def clusters(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of one object, best first: each joins the best finding of its group that it overlaps."""
    out: list[list[Finding]] = []
    for finding in sorted(findings, key=lambda finding: -finding.score):
        home = next((c for c in out if _same(c[0], finding)), None)
        if home is None:
            out.append([finding])
        else:
            home.append(finding)
    return out


def _same(a: Finding, b: Finding) -> bool:
    return group(a.name) == group(b.name) and iou(a.box, b.box) >= SAME_OBJECT


def _proposal(cluster: list[Finding], rules: Rules) -> Proposal:
    best = cluster[0]
    confirming = {best.view} | {finding.view for finding in cluster if finding.score >= rules.second}
    name, certainty = _class(cluster)
    near = [f for f in cluster if f.score >= rules.second] or [best]
    box = mean([f.box for f in near], [f.score for f in near])
    ignore_reason = _ignore_reason(name, certainty, best.score, len(confirming), rules)
    return Proposal(box, name or best.name, best.score, len(confirming), ignore_reason)


def _class(cluster: list[Finding]) -> tuple[str, float]:
    """Name with the highest sum of scores, and its fraction of the sum; "" if only groups were named."""
    sums: dict[str, float] = defaultdict(float)
    for finding in cluster:
        if finding.name not in COARSE:
            sums[finding.name] += finding.score
    if not sums:
        return "", 0.0
    name = max(sums, key=lambda name: sums[name])
    return name, sums[name] / sum(sums.values())


def _ignore_reason(name: str, certainty: float, score: float, views: int, rules: Rules) -> str:
    scores = {"traffic light": rules.light, "person": rules.person}
    if score < scores.get(name, rules.score):
        return "low score"
    if views < (rules.more_views if name in DECEPTIVE else rules.views):
        return "few views"
    return "" if certainty >= rules.certainty else "class"
