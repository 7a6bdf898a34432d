"""
Kikuchi patterns of two materials, and their bands
==================================================

The same orientation in nickel and in titanium, and the bands that are found with nothing given.
"""

# %%
# Crystals come from the table of known materials, or from a CIF file.  The angles are Bunge's Euler
# angles in degrees; the camera adds a background that falls to the rim, and noise.

import matplotlib.pyplot as plt
import numpy as np

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.patterns.kikuchi.bands.lines import find_lines
from napari_diffraction.patterns.kikuchi.preparation import prepared
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import simulate_one_kikuchi

camera = KikuchiEffects(contrast=0.2, noise=0.1, dome=0.6)
patterns = {
    name: simulate_one_kikuchi(load_structure(name), (25, 40, 15), effects=camera, size=200)
    for name in ("Ni", "Ti")
}

# %%
# The background is taken off, and bright lines are sought.  A line is given by a, b and c in
# ``a x + b y = c``, counted in pixels from the middle of the picture, x to the right and y down.
# We draw the middle of each band that is real with a probability of at least one half.

figure, places = plt.subplots(2, 2, figsize=(9, 9), layout="constrained")
for (name, pattern), (left, right) in zip(patterns.items(), places, strict=True):
    ready = prepared(pattern[None])
    picture = ready.flattened(ready.corrected(pattern[None]))
    lines = find_lines(picture, ready.weight)
    sure = lines.probability[0] >= 0.5
    print(f"{name}: {sure.sum()} bands")
    left.imshow(pattern, cmap="gray")
    left.set_title(name)
    right.imshow(picture[0], cmap="gray")
    right.set_title(f"without background, {sure.sum()} bands")
    right.autoscale(False)
    middle = (np.array(lines.shape)[::-1] - 1) / 2
    for (a, b, c), p in zip(lines.line[0][sure], lines.probability[0][sure], strict=True):
        x, y = middle[0] + a * c, middle[1] + b * c
        right.axline((x, y), (x - b, y + a), color="tab:orange", linewidth=1.5, alpha=float(p))
for axes in places.flat:
    axes.set_axis_off()
