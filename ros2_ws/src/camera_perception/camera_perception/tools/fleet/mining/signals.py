"""Signals that a frame is worth labelling: one number per frame, larger is more interesting, nan where unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception.tools.fleet.compare.figures import BRIEF, HEIGHTS
from camera_perception.tools.fleet.compare.frames import FrameKey, agreements
from camera_perception.tools.fleet.store.query import connect
from camera_perception.tools.fleet.store.storage import Storage, StoreError

NEIGHBOURS = 5
REFERENCES = 4000  # frames that rareness is measured against, at most
MIN_SCORE = 0.4  # of an object whose metres are judged


@dataclass
class Pool:
    """All decoded frames of a store.

    rows        columns recording_id, recording, camera, frame, stamp_ns, file, det_seg, uncertainty
    embeddings  (N, C) float32 unit vectors; (N, 0) without
    against     another run over the same drives, for `disagree`
    known       (M, C) features of frames that the network knows, for `drift`
    """

    storage: Storage
    rows: list[dict[str, Any]]
    embeddings: np.ndarray
    against: Storage | None = None
    known: np.ndarray | None = None

    @property
    def keys(self) -> list[FrameKey]:
        return [(row["recording_id"], row["camera"], row["frame"]) for row in self.rows]


def load_pool(storage: Storage, against: Storage | None = None, reference: Storage | None = None) -> Pool:
    """The frames of a store; StoreError when it has none. reference: a run over drives that the network knows."""
    rows, embeddings = _frames(storage)
    if not rows:
        raise StoreError(f"{storage.address} holds no decoded image: replay recordings first")
    return Pool(storage, rows, embeddings, against, _frames(reference)[1] if reference else None)


def _frames(storage: Storage) -> tuple[list[dict[str, Any]], np.ndarray]:
    connection = connect(storage)
    names = ["recording_id", "recording", "camera", "frame", "stamp_ns", "file", "det_seg", "uncertainty", "embedding"]
    sql = f"select {', '.join(names)} from frames where error = '' order by recording_id, camera, frame"
    rows = [dict(zip(names, values)) for values in connection.execute(sql).fetchall()]
    connection.close()
    vectors = [row.pop("embedding") for row in rows]
    complete = bool(rows) and all(vector is not None for vector in vectors)
    return rows, np.array(vectors, np.float32) if complete else np.zeros((len(rows), 0), np.float32)


def _counted(pool: Pool, sql: str) -> np.ndarray:
    """(N,) values of a query that gives recording_id, camera, frame, value; 0 for frames that it leaves out."""
    connection = connect(pool.storage)
    found = {tuple(row[:3]): float(row[3] or 0) for row in connection.execute(sql).fetchall()}
    connection.close()
    return np.array([found.get(key, 0.0) for key in pool.keys])


def flicker(pool: Pool) -> np.ndarray:
    """Objects of tracks with fewer than three detections, weighted by score, away from the ends of the drive.

    A detection without a before and an after is often wrong, and a gap in a track often a miss: "Temporal Coherence for
    Active Learning in Videos" (Bengar et al., 2019). Objects at the border of the image come and go rightly.
    """
    return _counted(
        pool,
        f"""with span as (select unit, camera, min(frame) low, max(frame) high from frames group by all),
        brief as (select unit, camera, track_id from objects join span using (unit, camera)
          where reported and track_id > 0 group by all
          having count(*) filter (not coasted) < {BRIEF} and bool_and(truncated = 0)
            and min(frame) > any_value(low) and max(frame) < any_value(high))
        select recording_id, camera, frame, sum(score) from objects join brief using (unit, camera, track_id)
        where not coasted group by all""",
    )


def size(pool: Pool) -> np.ndarray:
    """The largest |log(height / typical height of its class)| of an object with metres: 2D against 3D.

    A box that geometry contradicts is wrong in class, in extent or in range: "Putting Objects in Perspective" (Hoiem et
    al., 2006).
    """
    tall = " ".join(f"when class_name = '{name}' then {height}" for name, height in HEIGHTS.items())
    return _counted(
        pool,
        f"""select recording_id, camera, frame, max(abs(ln(height_m / (case {tall} end)))) from objects
        where reported and not coasted and score >= {MIN_SCORE} and height_m > 0 group by all""",
    )


def det_seg(pool: Pool) -> np.ndarray:
    """Disagreement of the boxes and the segmentation of one network; see store.rows.det_seg."""
    return _column(pool, "det_seg")


def uncertainty(pool: Pool) -> np.ndarray:
    """Class-weighted entropy of all detections; see store.rows.uncertainty."""
    return _column(pool, "uncertainty")


def _column(pool: Pool, name: str) -> np.ndarray:
    return np.array([np.nan if row[name] is None else row[name] for row in pool.rows], float)


def disagree(pool: Pool) -> np.ndarray:
    """Objects that only one of two networks reports, weighted by score.

    Query by committee (Seung et al., 1992), for detectors as in "The Power of Ensembles for Active Learning in Image
    Classification" (Beluch et al., 2018).
    """
    if pool.against is None:
        raise StoreError("the signal disagree needs a second run over the same drives: give it with --against")
    found = agreements(pool.against, pool.storage)
    return np.array([found[key].disagreement if key in found else 0.0 for key in pool.keys])


def rare(pool: Pool) -> np.ndarray:
    """Distance to the fifth-nearest frame of other drives in the network's feature space.

    Frames far from all others are what a core set adds first: "Active Learning for Convolutional Neural Networks: A
    Core-Set Approach" (Sener and Savarese, 2018). Of other drives: neighbours in time are always near.
    """
    vectors = _embedded(pool, "rare")
    drives = np.unique([row["recording_id"] for row in pool.rows], return_inverse=True)[1]
    chosen = np.linspace(0, len(vectors) - 1, min(len(vectors), REFERENCES)).astype(int)
    out = np.zeros(len(vectors))
    for start in range(0, len(vectors), 1000):
        part = slice(start, start + 1000)
        distances = 1 - vectors[part] @ vectors[chosen].T
        if drives.max() > 0:
            distances[drives[part, None] == drives[chosen][None]] = np.inf
        nearest = np.sort(distances, axis=1)[:, : NEIGHBOURS + 1]
        out[part] = np.where(np.isfinite(nearest), nearest, -np.inf).max(axis=1)
    return np.where(np.isfinite(out), out, np.nan)


def drift(pool: Pool) -> np.ndarray:
    """Mahalanobis distance from the frames that the network knows, in its feature space.

    "A Simple Unified Framework for Detecting Out-of-Distribution Samples" (Lee et al., 2018), without classes.
    """
    if pool.known is None:
        raise StoreError("the signal drift needs a run over drives that the network knows: give it with --reference")
    vectors, known = _embedded(pool, "drift"), pool.known
    if known.shape[1] != vectors.shape[1] or len(known) < 2:
        raise StoreError("the run of --reference has no such features: replay it with the same model")
    centre, covariance = known.mean(axis=0), np.cov(known.T.astype(float))
    shrunk = covariance + np.eye(len(covariance)) * max(np.trace(covariance) / len(covariance), 1e-6)
    away = (vectors - centre).astype(float)
    return np.asarray(np.sqrt(np.einsum("nc,cd,nd->n", away, np.linalg.inv(shrunk), away)))


def _embedded(pool: Pool, name: str) -> np.ndarray:
    if not pool.embeddings.shape[1]:
        raise StoreError(f"the signal {name} needs features: replay with --embedding into a new --out")
    return pool.embeddings


SIGNALS: dict[str, Callable[[Pool], np.ndarray]] = {
    "flicker": flicker,
    "disagree": disagree,
    "det-seg": det_seg,
    "size": size,
    "rare": rare,
    "uncertainty": uncertainty,
    "drift": drift,
}
DEFAULT = ("flicker", "det-seg", "rare", "uncertainty", "size")


def signals_of(pool: Pool, names: Sequence[str]) -> dict[str, np.ndarray]:
    """(N,) float64 per signal."""
    for name in names:
        if name not in SIGNALS:
            raise StoreError(f"--signals {name}: give some of {','.join(SIGNALS)}")
    return {name: SIGNALS[name](pool) for name in names}
