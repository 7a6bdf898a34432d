"""Phase maps from classifications: regions, comparison, and files of other programs.

In comes a table with a row for each pattern of a scan; out go a `PhaseMap`, files and figures.
"""
