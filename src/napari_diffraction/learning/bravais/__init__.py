"""The Bravais classifier: training data from random structures, and training.

In come bands of simulated Kikuchi patterns; out goes the model ``bravais``.
"""
