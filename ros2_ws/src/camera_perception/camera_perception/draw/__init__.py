"""Pictures for people: what was seen, on the image and from above."""

from camera_perception.draw.from_above import bird_eye
from camera_perception.draw.on_image import overlay
from camera_perception.draw.tiles import side_by_side, stacked

__all__ = ["bird_eye", "overlay", "side_by_side", "stacked"]
