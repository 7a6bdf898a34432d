"""Stacks of patterns: readers, calibration, preprocessing, peaks.  Knows no crystals."""
