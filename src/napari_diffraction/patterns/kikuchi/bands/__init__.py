"""Bands of Kikuchi patterns: bright lines, how certain they are, and profiles across them.

In come flattened patterns; out go lines, planes and widths.
"""
