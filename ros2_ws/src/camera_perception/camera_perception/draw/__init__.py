"""Pictures for people: what was seen, on the image and from above."""

from camera_perception.draw.birds_eye import bird_eye
from camera_perception.draw.image import overlay
from camera_perception.draw.primitives import side_by_side, stacked

__all__ = ["bird_eye", "overlay", "side_by_side", "stacked"]
