"""Which frames to label, from their signals: a product, a least gap in time, diversity, and a random tenth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

RANDOM = 0.1  # of the chosen frames: the only ones that measure how good the network is on the pool
SHORTLIST = 4  # frames per wanted frame from which diversity chooses
FLOOR = 0.1  # a signal that sees nothing damps the product, but does not end it


@dataclass(frozen=True)
class Choice:
    """A chosen frame: its row in the pool, why, and its rank (0..1) in each signal."""

    index: int
    why: str
    score: float
    ranks: dict[str, float]


def ranks(values: np.ndarray) -> np.ndarray:
    """(N,) 0..1: the fraction of frames with smaller values; 0 for nan, and equal values share the least rank."""
    finite = np.isfinite(values)
    out = np.zeros(len(values))
    if finite.sum() > 1:
        out[finite] = (rankdata(values[finite], "min") - 1) / (finite.sum() - 1)
    return out


def product(ranked: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) product of the ranks, which need no common unit.

    Several scores of the frames of drives are combined in "Scalable Active Learning for Object Detection" (Haussmann et
    al., 2020), too.
    """
    return np.asarray(np.prod([FLOOR + (1 - FLOOR) * each for each in ranked.values()], axis=0))


def choose(
    rows: Sequence[Mapping[str, Any]],
    embeddings: np.ndarray,
    signals: Mapping[str, np.ndarray],
    count: int,
    gap: float,
    seed: int = 0,
) -> list[Choice]:
    """`count` frames, or fewer where the gap leaves no more; the same for the same seed.

    gap  least seconds between two chosen frames of one camera of a recording
    """
    random = np.random.default_rng(seed)
    ranked = {name: ranks(values) for name, values in signals.items()}
    score = product(ranked)
    taken = _Gaps(rows, gap)
    by_chance = [i for i in random.permutation(len(rows)) if taken.take(int(i))][: _random_count(count)]
    taken = _Gaps(rows, gap, by_chance)
    shortlist = [i for i in np.argsort(-score, kind="stable").tolist() if taken.take(i)]
    wanted = count - len(by_chance)
    diverse = spread(embeddings, score, shortlist[: SHORTLIST * wanted], wanted, random, by_chance)
    named = [(i, "random") for i in by_chance] + [(i, _why(i, ranked)) for i in diverse]
    return [Choice(int(i), why, float(score[i]), {n: float(r[i]) for n, r in ranked.items()}) for i, why in named]


def _random_count(count: int) -> int:
    return max(1, round(RANDOM * count)) if count > 1 else 0


def _why(index: int, ranked: Mapping[str, np.ndarray]) -> str:
    """The signals in which the frame is among the top tenth, else its best one."""
    order = sorted(ranked, key=lambda name: -ranked[name][index])
    return " ".join(name for name in order if ranked[name][index] >= 0.9) or order[0]


class _Gaps:
    """Which frames are still far enough in time from those taken."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], gap: float, taken: Sequence[int] = ()) -> None:
        self._rows, self._gap_ns = rows, gap * 1e9
        self._stamps: dict[tuple[str, str], list[int]] = {}
        for index in taken:
            self.take(int(index))

    def take(self, index: int) -> bool:
        row = self._rows[index]
        stamps = self._stamps.setdefault((row["recording_id"], row["camera"]), [])
        if any(abs(row["stamp_ns"] - stamp) < self._gap_ns for stamp in stamps):
            return False
        stamps.append(row["stamp_ns"])
        return True


def spread(
    embeddings: np.ndarray,
    score: np.ndarray,
    shortlist: Sequence[int],
    count: int,
    random: np.random.Generator,
    chosen: Sequence[int] = (),
) -> list[int]:
    """`count` frames of the shortlist, each drawn by score times squared distance to those chosen before.

    The seeding of k-means++ (Arthur and Vassilvitskii, 2007), which "Deep Batch Active Learning by Diverse, Uncertain
    Gradient Lower Bounds" (Ash et al., 2020) uses for diverse batches.
    """
    if not embeddings.shape[1] or len(shortlist) <= count:
        return [int(i) for i in shortlist[:count]]
    indices = np.array(shortlist)
    vectors, near = embeddings[indices], np.full(len(indices), np.inf)
    for index in chosen:
        near = np.minimum(near, ((vectors - embeddings[index]) ** 2).sum(axis=1))
    picked: list[int] = []
    while len(picked) < count:
        weight = score[indices] * np.where(np.isfinite(near), near, 1.0)
        weight[picked] = 0.0
        if weight.sum() <= 0:
            weight = np.where(np.isin(np.arange(len(indices)), picked), 0.0, 1.0)
        picked.append(int(random.choice(len(indices), p=weight / weight.sum())))
        near = np.minimum(near, ((vectors - vectors[picked[-1]]) ** 2).sum(axis=1))
    return [int(i) for i in indices[picked]]
