"""The classes of the simulated town in the order of their ids, and colours to show them in."""

ROAD, ROAD_LINE, SIDEWALK, TERRAIN, BUILDING, VEGETATION, POLE, SIGN, VEHICLE, PEDESTRIAN, SKY = (
    range(11)
)

CLASS_NAMES = (
    'road',
    'road_line',
    'sidewalk',
    'terrain',
    'building',
    'vegetation',
    'pole',
    'traffic_sign',
    'vehicle',
    'pedestrian',
    'sky',
)

PALETTE = (
    (128, 64, 128),
    (255, 255, 255),
    (244, 35, 232),
    (152, 180, 80),
    (90, 90, 90),
    (107, 142, 35),
    (190, 153, 153),
    (250, 220, 0),
    (0, 60, 200),
    (220, 20, 60),
    (70, 160, 220),
)
