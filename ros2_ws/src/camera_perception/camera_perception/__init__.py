"""Camera perception for driving: one image in, one small description of the road out.

Needs numpy and opencv; knows neither ROS nor torch. `camera_perception.Perception` is the way in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from camera_perception.tools.perception import Perception

__version__ = "0.1.0"
__all__ = ["Perception", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the pipeline only for those who use it: the command line's --help stays fast."""
    if name == "Perception":
        from camera_perception.tools.perception import Perception

        return Perception
    raise AttributeError(f"module 'camera_perception' has no attribute '{name}'")
