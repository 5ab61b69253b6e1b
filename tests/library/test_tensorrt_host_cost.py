"""A frame in the TensorRT path allocates nothing and calls CUDA as often as its steps need."""

from __future__ import annotations

import pytest

from camera_perception.tools.bench.tensorrt_host import NAMES, measure_tensorrt_host, tensorrt_host_table


@pytest.fixture(scope="module")
def figures(repository):
    return measure_tensorrt_host(repository)


def test_no_way_of_running_allocates_or_keeps_anything(figures):
    assert len(figures) == 4
    for way, values in figures.items():
        assert (values["cuda_allocations"], values["objects_kept"]) == (0, 0), way


def test_shared_memory_saves_both_copies(figures):
    saved = figures["copies"]["cuda_calls"] - figures["shared memory"]["cuda_calls"]
    assert saved == pytest.approx(2)


def test_the_table_has_a_row_for_each_way(figures):
    table = tensorrt_host_table(figures)
    assert [row[0] for row in table.rows] == list(figures)
    assert len(table.head) == 1 + len(NAMES)


def test_without_the_tests_there_is_nothing_to_measure(tmp_path):
    assert measure_tensorrt_host(tmp_path) == {}
