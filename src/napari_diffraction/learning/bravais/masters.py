"""Many-beam master patterns of random structures, to train a Bravais classifier on."""

from __future__ import annotations

import os
from pathlib import Path

import gemmi
import numpy as np
import torch
from torch import Tensor

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.structure import Structure
from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.recipe import SHARD
from napari_diffraction.learning.bravais.shards import (
    BLOCK,
    Arrays,
    ShardJob,
    alone,
    joined,
    patterns_of,
    write_shard,
)
from napari_diffraction.learning.bravais.structure_pool import (
    LATTICES,
    StructurePool,
    save_arrays,
    structure_arrays,
)
from napari_diffraction.simulation.kikuchi.master import MasterPattern
from napari_diffraction.simulation.kikuchi.torch_bands import standardised, wavelength

#: Lattices of the structures of a file; cubic ones, whose masters are quick and whose lattices
#: differ least, come more than once, and cF most often, as among the materials that are studied.
OF_A_FILE = (*BRAVAIS_LATTICES, "cP", "cI", "cF", "cF")
#: Lattices of a file of symmetric structures alone: their masters take a third of the time, and
#: most materials are of them.
SYMMETRIC = ("tP", "tI", "hP", "hR", *("cP",) * 4, *("cI",) * 3, *("cF",) * 5)
#: Largest primitive cell in A^3, and share of the structures without a centre of symmetry that are
#: kept: both take long, and patterns hardly show that the centre is missing.
_MAX_VOLUME, _UNCENTRED = 260.0, 0.25
#: Of the masters: pixels from the pole to the equator, strong beams, keV.
_HALF_WIDTH, _BEAMS = 112, 24
_VOLTAGES = (10, 15, 20, 20, 20, 25, 30)
#: A pixel collects over its area, in so many steps each way; in the smaller square it is wider than
#: those of a master.
_OVERSAMPLE = 2
#: Share of the two-beam pattern of the same crystal that is mixed in, from and to: of nickel, many
#: beams and two beams alone are like EMsoft's master pattern by 0.95 (correlation), and either half
#: by 0.96.
_TWO_BEAM = (0.1, 0.7)


def make_masters(job: tuple[str, int, tuple[str, ...]]) -> str:
    """Draw random structures, compute their master patterns and write them, unless they are there.

    Parameters
    ----------
    job
        Name of the file, a seed, and the lattices of the structures.

    Raises
    ------
    InputError
        ebsdsim is not installed.
    """
    from napari_diffraction.simulation.kikuchi.many_beam import many_beam_master

    path, seed, lattices = job
    if os.path.exists(path):
        return path
    rng = np.random.default_rng([seed, 13])
    structures = [_drawn(lattice, rng) for lattice in lattices]
    voltages = rng.choice(_VOLTAGES, len(structures)).astype(float)
    masters = [
        many_beam_master(structure, voltage, _HALF_WIDTH, _BEAMS, oversample=1).hemispheres
        for structure, voltage in zip(structures, voltages, strict=True)
    ]
    arrays = structure_arrays(structures)
    arrays |= {"hemispheres": np.stack(masters), "voltage": voltages}
    with replacing(Path(path)) as partial:
        save_arrays(partial, arrays)
    return path


def _drawn(lattice: str, rng: np.random.Generator) -> Structure:
    from napari_diffraction.crystal.random_structures.structures import random_structure

    while True:
        structure = random_structure(lattice, rng)
        group = gemmi.find_spacegroup_by_number(structure.space_group)
        centred = group.operations().is_centrosymmetric()
        if structure.primitive_volume < _MAX_VOLUME and (centred or rng.random() < _UNCENTRED):
            return structure


class ManyBeamMaker(PatternMaker):
    """Makes batches of many-beam patterns of the structures of `make_masters`.

    Parameters
    ----------
    files
        What `make_masters` wrote.
    seed
        Of orientations, choice of structures and noise.
    """

    def __init__(self, files: tuple[str, ...], seed: int) -> None:
        every: list[Arrays] = []
        for path in files:
            with np.load(path, allow_pickle=False) as file:
                every.append(dict(file))
        arrays = joined(every)
        voltages, hemispheres = arrays.pop("voltage"), arrays.pop("hemispheres")
        pool = StructurePool(torch.device("cpu"), len(voltages))
        pool.add(arrays)
        super().__init__(pool, seed)
        shares = torch.bincount(torch.tensor([LATTICES.index(name) for name in OF_A_FILE]))
        label = torch.from_numpy(arrays["label"])
        self._likely = (shares / label.bincount(minlength=len(shares)).clamp_min(1))[label]
        self._wavelength = wavelength(torch.from_numpy(voltages)).float()
        self._masters = [MasterPattern(halves) for halves in hemispheres]

    def any(self, n: int) -> Tensor:
        """Draw numbers (n,) of structures, the lattices being as likely as in `OF_A_FILE`."""
        return torch.multinomial(self._likely, n, replacement=True, generator=self.generator)

    def _clean(self, which: Tensor, *geometry: Tensor) -> Tensor:
        normal, g, u, rotation, pc, profile, beam = geometry
        profile = profile.clone()
        profile[:, 0] = self._wavelength[which]
        two = super()._clean(which, normal, g, u, rotation, pc, profile, beam)
        n, many = len(which), torch.empty_like(two)
        for number in set(which.tolist()):
            mine = which == number
            frames = self._masters[number].project(
                rotation[mine].numpy(), pc[mine].numpy(), (self.side, self.side), _OVERSAMPLE
            )
            many[mine] = torch.from_numpy(frames)
        everywhere = torch.ones_like(two)
        low, high = _TWO_BEAM
        share = low + (high - low) * torch.rand(n, 1, 1, generator=self.generator)
        return (1 - share) * standardised(many, everywhere) + share * standardised(two, everywhere)


_MAKERS: dict[tuple[str, ...], ManyBeamMaker] = {}


def make_many_beam_shard(job: ShardJob) -> str:
    """Make a shard of many-beam patterns of any of the structures, unless its file is there.

    Parameters
    ----------
    job
        Name of the file, names of all files of `make_masters`, seed and number of the shard, and
        side of the patterns.
    """
    path, files, seed, number, side = job
    if os.path.exists(path):
        return path
    alone()
    if files not in _MAKERS:
        _MAKERS[files] = ManyBeamMaker(files, 0)
    maker = _MAKERS[files]
    maker.side = side
    rng = np.random.default_rng([seed, number, 19])
    maker.generator.manual_seed(int(rng.integers(2**62)))
    write_shard(path, [patterns_of(maker, draw(BLOCK, rng)) for _ in range(SHARD // BLOCK)])
    return path
