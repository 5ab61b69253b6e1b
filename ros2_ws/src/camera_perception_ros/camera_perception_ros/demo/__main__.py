"""python -m camera_perception_ros.demo --bag BAG --model DIR --out out/demo"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from camera_perception_ros.demo.run import app

        app()
    except KeyboardInterrupt:  # while it was still starting
        sys.exit(130)
