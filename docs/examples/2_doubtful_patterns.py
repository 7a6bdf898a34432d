"""
Sort a serial stack, and see what is doubtful
=============================================

The shipped model ``zones`` gives each pattern a class and how sure it is.
"""

# %%
# A small serial experiment is simulated, of which the truth is known: 60 patterns of one compound
# in random orientations, a tenth of them zones.  A stack of your own is opened by ``open_stack``
# alone.

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt

from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.palette import CLASS_COLOURS
from napari_diffraction.patterns.display import contrast_limits
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.samples import serial_experiment

simulated = finish(serial_experiment(seed=3, n=60))
folder = TemporaryDirectory()
stack = open_stack(save_simulated(simulated, Path(folder.name) / "serial.h5"))
table = finish(classify(stack, load_model("zones"), device="cpu"))

# %%
# The confidence is the probability of the class that was given.

truth = simulated.labels["label"]
print(table["label"].value_counts())
print(f"{(table['label'] == truth).sum()} of {len(table)} patterns have their true class")

# %%
# The eight least certain patterns are worth a look by a person: *Review patterns* in napari shows
# them in this order.

doubtful = table.sort_values("confidence").head(8)
figure, places = plt.subplots(2, 4, figsize=(10, 6), layout="constrained")
for axes, row in zip(places.flat, doubtful.itertuples(), strict=True):
    frame = stack.frame(row.index)
    low, high = contrast_limits(frame)
    axes.imshow(frame, cmap="gray", vmin=low, vmax=high)
    axes.set_title(
        f"{row.label} {row.confidence:.2f}\ntrue: {truth[row.index]}",
        fontsize=9, backgroundcolor=CLASS_COLOURS[row.label],
    )  # fmt: skip
    axes.set_axis_off()
