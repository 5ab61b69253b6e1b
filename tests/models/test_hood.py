"""The own hood drawn over an image, and what it does to the labels."""

from __future__ import annotations

import numpy as np
import pytest

from perception_models.data.augment import NONE, AugmentConfig, augment
from perception_models.data.augment.hood import hood, layers, outline, paint
from perception_models.data.labels import SEMANTIC, UNKNOWN
from perception_models.data.sample import Boxes, Lane, Lanes, Sample

SIZE = 96, 160


def street(**labels: object) -> Sample:
    image = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return Sample("street", image, **labels)


@pytest.mark.parametrize("seed", range(8))
def test_it_covers_the_bottom_and_nothing_above(seed):
    cover = outline(SIZE, np.random.default_rng(seed))
    assert not cover[: SIZE[0] // 2].any()
    assert (np.diff(cover.astype(int), axis=0) >= 0).all()  # below a covered pixel everything is covered


def test_only_covered_pixels_and_their_border_change():
    sample = street()
    after = hood(sample, np.random.default_rng(2))
    cover = outline(SIZE, np.random.default_rng(2))
    border = max(int(cover.any(1).argmax()) - 4, 0)
    assert np.array_equal(after.image[:border], sample.image[:border])
    assert (after.image[cover] != sample.image[cover]).mean() > 0.9
    assert np.array_equal(sample.image, street().image)  # the input stays as it is


def test_without_a_hood_the_image_stays_as_it_is():
    image = street().image
    assert np.array_equal(paint(image, np.zeros(SIZE, bool), np.random.default_rng(0)), image)


def test_some_hoods_are_as_bright_as_the_road_that_they_hide():
    """A road of grey level 90: colours drawn from the list would hit it rarely, and never with the blue of this one."""
    image, cover = np.full((*SIZE, 3), (150, 90, 60), np.uint8), np.zeros(SIZE, bool)
    cover[70:] = True
    painted = [paint(image, cover, np.random.default_rng(seed))[80:].mean((0, 1)) for seed in range(40)]
    blue = [each for each in painted if each[0] > 1.5 * each[1] > 1.5 * each[2]]
    assert len(blue) > 4


def test_strips_lie_along_the_edge_and_leave_what_is_outside():
    depth = np.repeat(np.maximum(np.arange(60, dtype=np.float32) - 20, 0)[:, None], 80, 1)
    surface = np.full((60, 80, 3), 100, np.float32)
    striped = [layers(surface, depth, np.random.default_rng(seed)) for seed in range(20)]
    assert all((each[:21] == 100).all() for each in striped)
    changes = [int((np.diff(each[21:, 40, 0]) != 0).sum()) for each in striped]
    assert np.median(changes) >= 2
    assert (surface == 100).all()  # the input stays as it is


def test_masks_say_vehicle_and_no_road():
    road = np.ones(SIZE, np.uint8)
    after = hood(street(drivable=road, semantic=road), np.random.default_rng(3))
    cover = outline(SIZE, np.random.default_rng(3))
    assert cover.any()
    assert (after.drivable[cover] == 0).all()
    assert (after.drivable[~cover] == 1).all()
    assert (after.semantic[cover] == SEMANTIC.index("vehicle")).all()
    assert (after.semantic[~cover] == 1).all()


def test_what_is_not_labelled_stays_unlabelled():
    after = hood(street(), np.random.default_rng(4))
    assert (after.drivable, after.semantic, after.boxes, after.lanes) == (None, None, None, None)


def test_boxes_and_lines_behind_it_shrink_or_go():
    boxes = Boxes([[10, 5, 40, 30], [60, 40, 100, 95], [70, 94, 90, 96]], [2, 2, 2], [0, 0, 0], [UNKNOWN] * 3)
    lines = Lanes([Lane(np.array([[80, 95], [80, 60], [80, 40]])), Lane(np.array([[82, 95], [82, 94]]))])
    after = hood(street(boxes=boxes, lanes=lines), np.random.default_rng(5))
    cover = outline(SIZE, np.random.default_rng(5))
    assert cover[94:, 60:100].all()
    assert after.boxes.boxes.tolist()[0] == [10, 5, 40, 30]
    assert after.boxes.boxes[1, 3] == np.flatnonzero(~cover[:, 60:100].all(1)).max() + 1
    assert len(after.boxes) == 2
    assert [line.points.tolist() for line in after.lanes.lines] == [[[80, 60], [80, 40]]]
    assert after.lanes.labelled_positions == lines.labelled_positions


def test_it_is_drawn_as_often_as_configured_and_never_changes_other_runs():
    def views(share: float) -> list[np.ndarray]:
        config = AugmentConfig(**{**vars(NONE), "hood": share})
        return [augment(street(), SIZE, np.random.default_rng(seed), config).image for seed in range(40)]

    original = views(0)[0]
    assert all(np.array_equal(image, original) for image in views(0))
    assert 8 < sum(not np.array_equal(image, original) for image in views(0.5)) < 32
