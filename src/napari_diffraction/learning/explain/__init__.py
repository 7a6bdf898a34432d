"""What a network looked at, by class-activation maps.

In come a `Classifier` and a pattern; out goes a map over the pixels of the pattern.
"""
