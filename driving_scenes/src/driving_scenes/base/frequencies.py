"""Names that users can ask for, with the frequency at which each is drawn at random."""

ROAD_TYPES = {"highway": 0.36, "rural": 0.15, "city": 0.31, "residential": 0.09, "tunnel": 0.06, "parking": 0.03}
WEATHERS = {"clear": 0.38, "partly cloudy": 0.17, "overcast": 0.20, "rainy": 0.11, "foggy": 0.06, "snowy": 0.08}
DAYTIMES = {"daytime": 0.52, "dawn/dusk": 0.28, "night": 0.20}
