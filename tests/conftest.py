import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "library"))  # for tiny_models


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with every head that needs no training; see library/tiny_models.py for what it sees."""
    from tiny_models import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("tiny_model"))
