"""Draw perception results on the image and from a bird's-eye view."""

from camera_perception.draw.birds_eye import bird_eye
from camera_perception.draw.image import overlay
from camera_perception.draw.legend import legend_entries, legend_strip
from camera_perception.draw.primitives import image_grid, side_by_side

__all__ = ["bird_eye", "image_grid", "legend_entries", "legend_strip", "overlay", "side_by_side"]
