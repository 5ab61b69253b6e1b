"""Per-class constants: a row for every index, in the order of the model's classes."""

import numpy as np
import pytest

from camera_perception.core.class_table import ClassTable, class_mask

CLASSES = ("bus", "kite", "car")


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[::-1], ()])
def test_a_row_is_looked_up_by_class_name(classes):
    table = ClassTable({"car": (1.0, 2.0), "bus": (3.0, 4.0)}, (0.0, -1.0))
    indices = np.array([0, 1, 2, -1, 3, 99])
    expected = [table.values.get(classes[i] if 0 <= i < len(classes) else None, (0.0, -1.0)) for i in indices]
    np.testing.assert_array_equal(table.lookup(indices, classes), expected)


def test_values_may_be_matrices_and_indices_empty():
    table = ClassTable({"car": np.eye(2)}, np.zeros((2, 2)))
    assert table.lookup(np.array([2, 0]), CLASSES).trace(axis1=1, axis2=2).tolist() == [2, 0]
    assert table.lookup(np.zeros(0, np.int64), CLASSES).shape == (0, 2, 2)


def test_class_mask_marks_the_named_classes():
    found = class_mask("car", "kite").lookup(np.array([0, 1, 2, -1]), CLASSES)
    assert found.dtype == bool
    assert found.tolist() == [False, True, True, False]
