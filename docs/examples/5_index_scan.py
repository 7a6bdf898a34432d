"""
Index a scan with nothing given
===============================

No list of phases and no pattern centre: a scan of 12 x 12 points explains itself.
"""

# %%
# Four grains of nickel and four of titanium are simulated.  Only the voltage is told, which decides
# how long the cells are.

import dask.array as da
import numpy as np

from napari_diffraction.analysis.indexed.picture import indexed_figure
from napari_diffraction.analysis.indexed.words import summary
from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.indexing.scan import IndexSettings, index_scan
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import (
    KikuchiConditions,
    draw_geometry,
    simulate_kikuchi,
)

rows, columns = np.mgrid[:12, :12]
middles = np.array([(1, 2), (2, 9), (9, 3), (10, 10), (5, 1), (6, 6), (4, 11), (11, 6)])
grain = np.hypot(rows[..., None] - middles[:, 0], columns[..., None] - middles[:, 1]).argmin(-1)
conditions = KikuchiConditions(pc_x=0.52, pc_y=0.28, pc_z=0.55, voltage=20)
angles, _ = draw_geometry(8, conditions, seed=5)
crystals = [load_structure("Ni"), load_structure("Ti")]
camera = KikuchiEffects(contrast=0.2, noise=0.1)
work = simulate_kikuchi(crystals, conditions, camera, size=60, orientations=angles[grain.ravel()])
frames = finish(work).images.reshape(2, 12, 12, 60, 60)
frames = np.where((grain >= 4)[..., None, None], frames[1], frames[0])
stack = PatternStack(da.from_array(frames), "two metals", geometry=KikuchiGeometry())
solution = finish(index_scan(stack, IndexSettings(voltage=20)))
print("\n".join(summary(solution)))

# %%
# The phases, the crystal direction along the normal of the sample with the key to its colours, and
# how far the bands of each point are off.

figure = indexed_figure(solution)
