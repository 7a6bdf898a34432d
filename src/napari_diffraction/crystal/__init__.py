"""Cells, Bravais lattices, reflections, zones and orientations.  Knows no pixels."""
