"""realbench: the own hood once the images of its drive were seen, as `--ignore auto` learns it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perception_models.evaluation.real.output import Output
from perception_models.evaluation.real.rows import MODEL, learned, table_rows
from perception_models.evaluation.real.sets import Picture, RealSet

HEIGHT, WIDTH, HOOD = 120, 160, 90  # rows, columns, first row of the hood
MEASURE = "own hood called drivable, once learned"


def drive(folder: Path, count: int, hood: bool) -> tuple[Path, ...]:
    """Images of a world that changes, with a grey hood below it."""
    rng = np.random.default_rng(1)
    paths = tuple(folder / f"{number}.png" for number in range(count))
    for path in paths:
        image = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (WIDTH, HEIGHT))
        image[HOOD if hood else HEIGHT :] = 128
        image[HOOD - 2 : HOOD] = 20 if hood else image[HOOD - 2 : HOOD]
        cv2.imwrite(str(path), image)
    return paths


def share(images: tuple[Path, ...]) -> float:
    """The measure, of a network that calls everything road."""
    everything = Output(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, int), road=np.ones((30, 40), np.uint8))
    each = RealSet("set", (Picture(images[0]),), hood=0.06, drive=images)
    rows = table_rows([each], {MODEL: {"set": [everything]}})
    return next(row.values[MODEL] for row in rows if row.measure == MEASURE)


@pytest.mark.parametrize(("count", "hood", "wanted"), [(30, True, 0.0), (30, False, 1.0), (10, True, 1.0)])
def test_the_hood_is_left_out_once_enough_images_were_seen(tmp_path, count, hood, wanted):
    assert share(drive(tmp_path, count, hood)) == wanted


def test_what_was_learned_is_the_hood_and_nothing_else(tmp_path):
    region = learned(drive(tmp_path, 30, hood=True))
    assert region is not None
    cells = region.cells((HEIGHT, WIDTH))
    assert cells[HOOD + 2 :].all()
    assert not cells[: HOOD - 6].any()
