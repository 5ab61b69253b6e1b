"""Values that travel through the pipeline, and `kernels`: the compiled twins of functions that a frame waits for.

A function that has a twin begins with `if core.kernels is not None`; what follows is the same in NumPy, which runs
where nothing was compiled. Sources: core/kernels, built by setup.py where there is a C compiler.
CAMERA_PERCEPTION_COMPILED=0 in the environment leaves them out.
"""

from __future__ import annotations

import os
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

VERSION = 6  # of the arguments of the kernels, as in kernels.h


def _compiled() -> tuple[ModuleType | None, str]:
    """The kernels, or None and why."""
    if os.environ.get("CAMERA_PERCEPTION_COMPILED") == "0":
        return None, "switched off by CAMERA_PERCEPTION_COMPILED=0"
    try:
        from camera_perception.core import _kernels
    except ImportError:
        return None, "not built: install a C compiler, then build or install camera_perception again"
    if _kernels.VERSION != VERSION:
        return None, "built from other sources: build or install camera_perception again"
    return _kernels, ""


kernels: Any
kernels, why_no_kernels = _compiled()


_SETTINGS: dict[tuple[int, tuple[str, ...]], tuple[Any, Any]] = {}  # by identity: a hash reads every field
MOST_SETTINGS = 64


def settings(config: Any, *names: str) -> np.ndarray:
    """(len(names),) float64: these fields of frozen settings, as kernels read them."""
    try:
        found = _SETTINGS[id(config), names]
    except KeyError:
        found = None, None
    if found[0] is not config:
        import numpy as np  # here: `--help` imports this package and needs no arrays

        if len(_SETTINGS) >= MOST_SETTINGS:
            _SETTINGS.clear()
        found = _SETTINGS[id(config), names] = config, np.array(attrgetter(*names)(config), float)
    numbers: np.ndarray = found[1]
    return numbers
