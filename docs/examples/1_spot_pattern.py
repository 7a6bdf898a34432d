"""
Simulate the spot pattern of a cell
===================================

From a unit cell to patterns, each spot with its h k l.
"""

# %%
# The cell is that of Fig. 1 of Gorelik et al. (2025), lengths in A and angles in degrees.  A
# reflection is seen when it lies close enough to the Ewald sphere: this distance is the excitation
# error, in 1/A.  Orientations are spread evenly over the sphere.  ``simulate_spots`` is a generator
# that tells how far it is; ``finish`` runs it to its end.

import matplotlib.pyplot as plt
import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.spots.dataset import simulate_spots

cell = UnitCell(5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)
conditions = SpotConditions(wavelength=0.0251, resolution=1.2, intensities="random")
camera = DetectorEffects(
    signal=150, halo=300, background=5, spot_radius=2, spot_softness=1, poisson=True
)  # fmt: skip
stack = finish(simulate_spots([cell], conditions, camera, orientations=300))

# %%
# The result holds the pictures, and tables of what is known: a row for each pattern, with its
# class, and a row for each spot.  Of the zones we take the one with the most spots.

print(stack.labels["label"].value_counts())
known = stack.labels[stack.labels["label"] == "2DZone"].nlargest(1, "n_spots").iloc[0]
axis = f"[{known.u} {known.v} {known.w}]"
spots = stack.spots[(stack.spots["pattern"] == known["index"]) & stack.spots["visible"]]
print(spots[["h", "k", "l", "x", "y", "intensity"]].round(1).head())

# %%
# The strongest spots get their names.

image = stack.images[known["index"]].astype(float)
figure, axes = plt.subplots(figsize=(7, 7), layout="constrained")
axes.imshow(image, cmap="gray_r", vmax=np.percentile(image, 99))
for spot in spots.nlargest(24, "intensity").itertuples():
    axes.annotate(
        f"{spot.h} {spot.k} {spot.l}", (spot.x, spot.y), (0, 7), textcoords="offset points",
        ha="center", fontsize=8, color="tab:blue",
    )  # fmt: skip
axes.set_title(f"A zone along {axis}, the 24 strongest of {len(spots)} spots named")
axes.set_axis_off()
