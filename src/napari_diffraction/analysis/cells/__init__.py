"""Unit cells of a stack of zones: the search, files, pictures and words.

In come the zones of a stack; out go cells with their doubts, and files for other programs.
"""
