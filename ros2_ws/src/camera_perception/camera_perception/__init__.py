"""Camera perception for driving: one image in, one small description of the road out.

Needs numpy and opencv; knows neither ROS nor torch.
"""

__version__ = "0.1.0"
