"""The phases of a scan from the bands of its grains.

In come bands of grain averages; out go pattern centre, lattices, scales and orientations.
"""
