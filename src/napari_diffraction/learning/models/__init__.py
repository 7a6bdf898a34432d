"""Models: a network with its card in one file, the list of those that can be used, and their kinds.

In come files and names; out go `Classifier` objects whose probabilities mean what they say.
"""
