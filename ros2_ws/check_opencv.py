"""OpenCV's wheel needs two system libraries; name them when they are missing."""

import sys

try:
    import cv2  # noqa: F401
except ImportError as error:
    sys.exit(f"OpenCV does not load ({error}): apt-get install libgl1 libglib2.0-0, then run make setup again")
