"""The zone classifier: training data, training, and what zones that were found tell of the others.

In come simulated spot patterns; out goes the model ``zones``.
"""
