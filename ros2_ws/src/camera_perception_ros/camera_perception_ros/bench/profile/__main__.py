"""python -m camera_perception_ros.bench.profile --help"""

from __future__ import annotations

from camera_perception_ros.bench.profile.run import app

if __name__ == "__main__":
    app()
