"""What is seen in Kikuchi patterns, knowing no crystals: mask, background, quality, grains, bands.

In come frames of a `PatternStack`; out go prepared pictures, groups of alike ones, and bands.
"""
