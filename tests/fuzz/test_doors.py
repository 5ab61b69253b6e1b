"""What was once found stays fixed, and a few new inputs at every door; `make fuzz` runs for longer."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis", reason="needs hypothesis: make setup")
pytest.importorskip("torch", reason="needs torch: make setup-models")

from door import FINDINGS, Door, Finding
from doors import DOORS
from hypothesis import HealthCheck, Phase, given, settings

CASES = 12
SLOW = {"onnx", "model_json", "checkpoint_state", "checkpoint_file"}  # a quarter of the cases


@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*/*.bin")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_finding_stays_fixed(path, tmp_path):
    DOORS[path.parent.name].check(path.read_bytes(), tmp_path)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_few_inputs_are_read_or_refused(door, tmp_path):
    outcomes = set()

    @settings(
        max_examples=CASES // 4 if door.name in SLOW else CASES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(door.strategy)
    def check(case: bytes) -> None:
        outcomes.add(door.check(case, tmp_path))

    check()
    assert outcomes


def test_the_rule_is_checked(tmp_path):
    def raw(case, folder):
        raise KeyError(case)

    def long(case, folder):
        from camera_perception.core.errors import ModelError

        error = ModelError()
        error.args = ("x" * 501,)
        raise error

    for open_, text in ((raw, "KeyError"), (long, "long text")):
        with pytest.raises(Finding, match=text):
            Door("a", open_, list, lambda seeds: None).check(b"", tmp_path)
