"""What all tests share: where the driving data is, and a plain skip where an optional package is not installed."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

collect_ignore = ["nvidia"]  # has settings of its own: make check-nvidia

REMEDIES = {
    "camera_perception_msgs": "make setup, then source ros2_ws/env.sh",
    "rclpy": "make setup, then source ros2_ws/env.sh",
    "torch": "make setup-models",
}


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded and labelled drives beside the repository; the test is skipped without it."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no driving data in {folder}")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A test file whose first import is not installed is skipped, not broken."""
    report = yield
    for module, remedy in REMEDIES.items():
        if report.failed and f"No module named '{module}'" in str(report.longrepr):
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 0, f"needs {module}: {remedy}")
    return report


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with every head that needs no training; library/tiny_models.py says what it sees."""
    from tiny_models import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("tiny_model"))
