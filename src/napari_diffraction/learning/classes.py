"""The classes of spot patterns, and their usual shares."""

from __future__ import annotations

ZONE = "2DZone"
LAUE = "3DLaueIntersections"
NO_HIT = "NoHit"
MULTIPLE = "MultipleCrystals"

#: In the order of the columns ``p_<class>`` and of the review keys 1 to 4.
ZONE_CLASSES = (ZONE, LAUE, NO_HIT, MULTIPLE)

#: Label of a pattern that could not be read; it has no probabilities.
UNREADABLE = "Unreadable"

#: Shares of the classes in an ordinary serial experiment, to which probabilities are corrected.
#: About 3 % of randomly oriented crystals show a zone (Gorelik et al. 2025).
NATURAL_SHARES = {ZONE: 0.03, LAUE: 0.77, NO_HIT: 0.10, MULTIPLE: 0.10}
