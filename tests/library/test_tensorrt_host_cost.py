"""CPU cost of a frame in the TensorRT path: no allocation, no more CUDA calls than its steps need."""

from __future__ import annotations

import pytest

from camera_perception.tools.bench.tensorrt_host import NAMES, measure_tensorrt_host, tensorrt_host_table


@pytest.fixture(scope="module")
def costs(repository):
    return measure_tensorrt_host(repository)


def test_no_configuration_allocates_or_leaks_per_frame(costs):
    assert len(costs) == 4
    for name, values in costs.items():
        assert (values["cuda_allocations"], values["objects_kept"]) == (0, 0), name


def test_shared_memory_saves_both_copies(costs):
    saved = costs["copies"]["cuda_calls"] - costs["shared memory"]["cuda_calls"]
    assert saved == pytest.approx(2)


def test_the_table_has_a_row_per_configuration(costs):
    table = tensorrt_host_table(costs)
    assert [row[0] for row in table.rows] == list(costs)
    assert len(table.head) == 1 + len(NAMES)


def test_without_the_tests_there_is_nothing_to_measure(tmp_path):
    assert measure_tensorrt_host(tmp_path) == {}
