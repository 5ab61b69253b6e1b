"""Tables of equally long columns: rows are selected, replaced and concatenated in all columns at once."""

from dataclasses import dataclass

import numpy as np
import pytest

from camera_perception.core.columns import Columns
from camera_perception.core.types import Detections, Objects, PositionMethod
from camera_perception.fusion.types import FusedObjects


@dataclass(frozen=True, slots=True)
class Pairs(Columns):
    numbers: np.ndarray
    points: np.ndarray


PAIRS = Pairs(np.arange(4), np.arange(8.0).reshape(4, 2))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([2, 0], [2, 0]),
        (slice(1, 3), [1, 2]),
        (np.array([True, False, False, True]), [0, 3]),
        (np.array([-1, 1, 1]), [3, 1, 1]),
    ],
)
def test_rows_are_selected_by_index_slice_and_mask(rows, expected):
    chosen = PAIRS[rows]
    assert isinstance(chosen, Pairs)
    assert len(chosen) == len(expected)
    assert chosen.numbers.tolist() == expected
    assert chosen.points[:, 0].tolist() == [2.0 * number for number in expected]


def test_replaced_rows_leave_the_original_and_the_dtypes_alone():
    changed = PAIRS.with_rows(np.array([1, 3]), numbers=[10.0, 30.0], points=np.nan)
    assert changed.numbers.tolist() == [0, 10, 2, 30]
    assert changed.numbers.dtype == PAIRS.numbers.dtype
    assert np.isnan(changed.points[:, 0]).tolist() == [False, True, False, True]
    assert PAIRS.numbers.tolist() == [0, 1, 2, 3]
    assert PAIRS.with_rows(slice(None), numbers=7).points is PAIRS.points


def test_an_unknown_column_is_refused():
    with pytest.raises(KeyError):
        PAIRS.with_rows(slice(None), nothing=0)


def test_concatenation_keeps_order_and_dtypes():
    both = Pairs.concatenate([PAIRS[2:], PAIRS[:0], PAIRS[:1]])
    assert both.numbers.tolist() == [2, 3, 0]
    assert both.points.shape == (3, 2)


def test_a_row_becomes_plain_python_values():
    assert PAIRS[1:2].to_dicts("numbers", "points") == [{"numbers": 1, "points": [2.0, 3.0]}]
    assert PAIRS[:0].to_dicts("points") == []


def test_objects_from_detections_have_no_track_and_no_position():
    objects = Objects.of(Detections.empty(4))
    assert len(objects) == 0
    assert objects.light_states.shape == (0, 4)
    detection = Detections(np.ones((1, 4), "f"), np.ones(1, "f"), np.zeros(1, int), np.zeros((1, 0)))
    [row] = Objects.of(detection).to_dicts("track_ids", "position_methods", "positions")
    assert row["track_ids"] == 0
    assert row["position_methods"] == PositionMethod.NONE
    assert np.isnan(row["positions"]).all()


def test_fields_that_are_not_columns_stay_with_the_table():
    none = FusedObjects.empty(("car", "bus"), 3)
    assert none[np.zeros(0, int)].classes == FusedObjects.concatenate([none, none]).classes == ("car", "bus")
