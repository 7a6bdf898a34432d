"""Bands of Kikuchi patterns explained: pattern centre, lattices, orientations.

In come lines on the screen; out go lattices with their metric, and the rotation of every pattern.
"""
