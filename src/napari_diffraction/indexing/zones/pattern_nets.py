"""The nets of the zonal patterns of a stack, freed from the ellipticity of its camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from napari_diffraction.indexing.zones.ellipse import Ellipse, find_ellipse
from napari_diffraction.indexing.zones.net_fit import NetFit, fit_net, shared_lens
from napari_diffraction.indexing.zones.nets import ZoneNet


@dataclass(frozen=True, eq=False)
class PatternNets:
    """Nets of patterns.

    Attributes
    ----------
    fits
        By the number of the pattern, as they lie in it.
    ellipse
        Stretch of the camera, where it is found.
    """

    fits: Mapping[int, NetFit]
    ellipse: Ellipse | None

    def nets(self, pixel_size: float) -> list[ZoneNet]:
        """Return the nets, freed from the stretch, in the order of the patterns.

        Parameters
        ----------
        pixel_size
            Reciprocal length of a pixel in 1/A; with a stretch, the mean of all directions.
        """
        return [
            (
                fit
                if self.ellipse is None
                else replace(fit, basis=self.ellipse.corrected(fit.basis))
            ).net(pixel_size, pattern)
            for pattern, fit in sorted(self.fits.items())
        ]


def nets_of_patterns(spots: Mapping[int, pd.DataFrame]) -> PatternNets:
    """Fit the nets of zones; patterns whose spots span none are left out.

    Parameters
    ----------
    spots
        By the number of the pattern, tables with a row a spot: ``x`` and ``y`` in pixels, and on
        the dominant net ``zonal``, ``h``, ``k``.
    """
    fits = fits_of_patterns(spots)
    return PatternNets(fits, find_ellipse([np.asarray(fit.basis) for fit in fits.values()]))


def fits_of_patterns(spots: Mapping[int, pd.DataFrame]) -> dict[int, NetFit]:
    """Fit the nets of zones, by tables as above, with the lens that all of them share."""
    fits = _fitted(spots, None)
    lens = shared_lens(fits.values())
    return fits if lens is None else _fitted(spots, lens)


def _fitted(spots: Mapping[int, pd.DataFrame], lens: float | None) -> dict[int, NetFit]:
    found = {pattern: fit_of_spots(table, lens) for pattern, table in spots.items()}
    return {pattern: fit for pattern, fit in found.items() if fit is not None}


def fit_of_spots(table: pd.DataFrame, lens: float | None = None) -> NetFit | None:
    """Fit the net of one zone; ``None`` where its spots, a table as above, span none.

    ``lens``: what other patterns say of it, see `shared_lens`.
    """
    return fit_net(
        table[["x", "y"]].to_numpy(float),
        table[["h", "k"]].to_numpy(int),
        table["zonal"].to_numpy(bool),
        lens,
    )
