"""Ids of the semantic masks; 0 is sky."""

BUILDING = 1
POLE = 2
ROAD = 3
SIDEWALK = 4
VEGETATION = 5
SIGN = 6
FENCE = 7
VEHICLE = 8
PEDESTRIAN = 9
RIDER = 10
BARS = 11  # fence that one can see through, only until the label is finished
IGNORE = 255
