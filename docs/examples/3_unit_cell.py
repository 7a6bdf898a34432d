"""
From zones to the unit cell
===========================

The nets of a few zones fix the cell; no composition and no list of phases is asked for.
"""

# %%
# A serial experiment of one compound is simulated, 150 patterns.  Its zones are sorted out by the
# model ``zones``, as in the example before.

from pathlib import Path
from tempfile import TemporaryDirectory

from napari_diffraction.analysis.cells.pictures import zone_pictures
from napari_diffraction.analysis.cells.search import search_cells
from napari_diffraction.analysis.cells.words import summary
from napari_diffraction.crystal.reduction import reduced_cell
from napari_diffraction.indexing.zones.pattern_nets import nets_of_patterns
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.zones.peak_tables import find_in_stack
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.samples import FIGURE_1, serial_experiment

folder = TemporaryDirectory()
path = save_simulated(finish(serial_experiment(seed=3, n=150)), Path(folder.name) / "serial.h5")
stack = open_stack(path)
table = finish(classify(stack, load_model("zones"), device="cpu"))
zones = table.index[table["label"] == "2DZone"].tolist()

# %%
# The spots of each zone are found, and a net is fitted to them: two lengths and an angle.  Then the
# cell is sought whose planes are these nets.

peaks = {}
finish(find_in_stack(stack, indices=zones), lambda step: peaks.update(step.found))
nets = nets_of_patterns({number: found.table for number, found in peaks.items()})
geometry = stack.geometry
result = finish(
    search_cells(
        stack.name, nets, pixel_size=geometry.pixel_size, wavelength=geometry.wavelength
    )
)  # fmt: skip
print("\n".join(summary(result)))
print("the truth:", [round(number, 3) for number in reduced_cell(FIGURE_1).parameters])

# %%
# Zones with the net that the cell has there.  The command ``napari-diffraction solve`` goes on from
# here: all other patterns judge the cell and refine it.

figure = zone_pictures(result, stack)
