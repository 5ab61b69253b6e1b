"""python -m camera_perception_ros.demo --bag BAG --model DIR --out out/demo"""

from __future__ import annotations

from camera_perception_ros.demo.run import app

if __name__ == "__main__":
    app()
