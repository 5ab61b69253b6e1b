"""Compiled functions of boxes and regions and their NumPy twins do the same."""

from __future__ import annotations

import numpy as np
import pytest
from test_compiled import both, random_boxes

from camera_perception import core
from camera_perception.core.boxes import decayed_scores, nms
from camera_perception.image.regions import drop_islands

pytestmark = pytest.mark.skipif(core.kernels is None, reason="nothing is compiled: make setup, with a C compiler")


@pytest.mark.parametrize("count", [0, 1, 300])
def test_suppression_keeps_the_same_boxes(count, monkeypatch):
    rng = np.random.default_rng(0)
    boxes, scores, classes = random_boxes(rng, count), rng.integers(0, 40, count) / 40, rng.integers(0, 3, count)
    compiled, twin = both(lambda: nms(boxes, scores, classes, 0.45, limit=200), monkeypatch)
    assert compiled.tolist() == twin.tolist()
    assert len(twin) < count or count < 2


@pytest.mark.parametrize("count", [0, 1, 200])
def test_scores_fall_alike_to_the_bit(count, monkeypatch):
    rng = np.random.default_rng(0)
    boxes, scores = random_boxes(rng, count), np.sort(rng.random(count).astype(np.float32))[::-1]
    classes = rng.integers(0, 3, count)
    compiled, twin = both(lambda: decayed_scores(boxes, scores, classes, 0.2), monkeypatch)
    assert compiled.tobytes() == twin.tobytes()
    assert (twin <= scores).all()
    assert (twin < scores).any() or count < 2


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.6, 0.7, 1.0])
@pytest.mark.parametrize("shape", [(88, 160), (7, 1), (1, 9), (5, 8)])
def test_the_same_islands_are_dropped(shape, share, monkeypatch):
    """Random cells: few small regions up to half of the cells, then one large one with small ones beside it."""
    rng = np.random.default_rng(0)
    before = ((rng.random(shape) < share) * rng.integers(1, 3, shape)).astype(np.uint8)

    def dropped() -> np.ndarray:
        ids = before.copy()
        drop_islands(ids, 0, 0.2)
        return ids

    compiled, twin = both(dropped, monkeypatch)
    np.testing.assert_array_equal(compiled, twin)
    assert (twin[twin > 0] == before[twin > 0]).all()
    assert (twin != before).any() or shape != (88, 160) or share in (0.0, 1.0)
