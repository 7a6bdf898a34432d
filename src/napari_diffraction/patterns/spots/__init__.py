"""Spots of a pattern: background, search, shape and measurement.

In comes a frame; out go positions, intensities and what is known of each spot.
"""
