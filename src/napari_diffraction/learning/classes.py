"""The classes of spot patterns as a classifier gives them, and their usual shares."""

from __future__ import annotations

from napari_diffraction.simulation.classes import LAUE, MULTIPLE, NO_HIT, ZONE, ZONE_CLASSES

#: Label of a pattern that could not be read; it has no probabilities.
UNREADABLE = "Unreadable"

#: Shares of the classes in an ordinary serial experiment, to which probabilities are corrected.
#: About 3 % of randomly oriented crystals show a zone (Gorelik et al. 2025).
NATURAL_SHARES = {ZONE: 0.03, LAUE: 0.77, NO_HIT: 0.10, MULTIPLE: 0.10}

__all__ = ["LAUE", "MULTIPLE", "NATURAL_SHARES", "NO_HIT", "UNREADABLE", "ZONE", "ZONE_CLASSES"]
