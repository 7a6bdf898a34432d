"""The classes of simulated patterns."""

ZONE = "2DZone"
LAUE = "3DLaueIntersections"
NO_HIT = "NoHit"
MULTIPLE = "MultipleCrystals"

#: A frame of an EBSD camera in which nothing diffracts.
NO_PATTERN = "NoPattern"

#: In the order of the columns ``p_<class>`` and of the review keys 1 to 4.
ZONE_CLASSES = (ZONE, LAUE, NO_HIT, MULTIPLE)
