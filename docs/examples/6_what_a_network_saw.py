"""
What a network looked at
========================

Grad-CAM lays over a pattern what spoke for its class.
"""

# %%
# The model ``zones`` is asked about a zone and about a Laue pattern of a simulated experiment.  An
# ``Explainer`` works for one model and one stack.

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt

from napari_diffraction.learning.explain.heatmaps import METHODS, Explainer
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.patterns.display import contrast_limits
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.samples import serial_experiment

simulated = finish(serial_experiment(seed=3, n=30))
folder = TemporaryDirectory()
stack = open_stack(save_simulated(simulated, Path(folder.name) / "serial.h5"))
explainer = Explainer(load_model("zones"), stack, device="cpu")

# %%
# For each pattern: itself, the map of plain Grad-CAM, and that of Grad-CAM++, which says more about
# this network.  Bright is what counts for the class; dark had no part in it.

truth = simulated.labels["label"]
figure, places = plt.subplots(2, 3, figsize=(10, 7), layout="constrained")
for label, row in zip(("2DZone", "3DLaueIntersections"), places, strict=True):
    frame = stack.frame(int(truth.index[truth == label][0]))
    low, high = contrast_limits(frame)
    for axes, method in zip(row, (None, "gradcam", "gradcam++"), strict=True):
        axes.imshow(frame, cmap="gray", vmin=low, vmax=high)
        axes.set_axis_off()
        if method is None:
            axes.set_title(f"true class: {label}", fontsize=10)
            continue
        made = explainer.explain(frame, method=method)
        axes.imshow(made.heat, cmap="inferno", vmin=0, vmax=1, alpha=0.55)
        p = made.probabilities[made.label]
        axes.set_title(f"{METHODS[method]}: {made.label} ({p:.2f})", fontsize=10)
