"""Fixtures for tests of data and network: a few drawn street scenes, on disk and as one batch."""

from __future__ import annotations

from pathlib import Path

import pytest

COUNT, SIZE = 4, (64, 128)


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four drawn scenes of 64x128 pixels with all labels (layout of DATA.md)."""
    pytest.importorskip("torch", reason="needs torch: make setup-models")
    from drawn import draw_folder

    return draw_folder(tmp_path_factory.mktemp("drawn"), COUNT, SIZE)


@pytest.fixture(scope="session")
def drawn_targets(drawn_folder: Path) -> dict:
    """All drawn scenes as training targets; do not modify."""
    from perception_models.data import TargetDataset, collate, open_mix

    dataset = TargetDataset(open_mix([{"kind": "labelled", "path": str(drawn_folder)}]), SIZE)
    return collate([dataset[(0, 0, 0, i)] for i in range(COUNT)])


@pytest.fixture
def drawn_batch(drawn_targets: dict) -> dict:
    """A copy of the targets that may be modified."""
    return {name: tensor.clone() for name, tensor in drawn_targets.items()}
