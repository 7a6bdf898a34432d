"""From what is seen to the lattices and orientations that explain it, with nothing given.

In come bands of Kikuchi patterns (`napari_diffraction.patterns.kikuchi`); out go pattern centre,
phases with cells and Bravais lattices, and the orientation of every pattern.
"""
