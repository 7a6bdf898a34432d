"""One colour for each class, the same in every widget, layer and plot."""

from __future__ import annotations

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.learning.classes import LAUE, MULTIPLE, NO_HIT, UNREADABLE, ZONE

#: Okabe and Ito's colours that stand out from black and from white, with the grey that is usually
#: added to them.  They can be told apart with any kind of colour vision.
OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442")
GREY = "#999999"
#: A pattern, but of no class that is known: lighter than what shows no crystal at all.
LIGHT_GREY = "#D0D0D0"
#: Points of a phase map of which nothing certain is known.
NOT_INDEXED_COLOUR = "#595959"

#: One hue for each crystal system, lightness by centring.  Found by a search for the largest least
#: difference: any two of them, and grey, differ by more than 12 (CIEDE2000), also to people who
#: see no red or no green.
LATTICE_COLOURS = {
    "aP": "#7B408D",
    "mP": "#DBD556",
    "mC": "#EAE4B8",
    "oP": "#7E3E1E",
    "oC": "#F4702E",
    "oI": "#C2917A",
    "oF": "#C44E0C",
    "tP": "#1EFDEC",
    "tI": "#007D74",
    "hP": "#98ACF6",
    "hR": "#3B89A3",
    "cP": "#CD3C72",
    "cI": "#FFB4C9",
    "cF": "#9F014F",
}

#: Colours of classes without one of their own; the last three are Tol's.
_IN_TURN = (*OKABE_ITO, "#882255", "#332288", "#661100")

#: Zones, which are looked for, are the most striking; a frame without a crystal is grey.
CLASS_COLOURS = {
    ZONE: "#E69F00",
    LAUE: "#56B4E9",
    NO_HIT: GREY,
    MULTIPLE: "#CC79A7",
    UNREADABLE: "#D55E00",
    "NoPattern": GREY,
    "NoneOfThese": LIGHT_GREY,
    **LATTICE_COLOURS,
}

_CENTRINGS = {"P": "primitive", "C": "base-centred", "I": "body-centred", "F": "face-centred"}


def class_colour(label: str, classes: tuple[str, ...] = ()) -> str:
    """Return the colour of a class.

    Parameters
    ----------
    label
        Name of the class.
    classes
        All classes of the model: one without a fixed colour gets that of its place among them.

    Returns
    -------
    str
        As ``#RRGGBB``.
    """
    if label in CLASS_COLOURS:
        return CLASS_COLOURS[label]
    if label in classes:
        return _IN_TURN[classes.index(label) % len(_IN_TURN)]
    return GREY


def rgb(colour: str) -> tuple[float, float, float]:
    """Return red, green and blue, 0 to 1, of a colour written as ``#RRGGBB``."""
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def class_title(label: str) -> str:
    """Return what a legend says of a class: its name, for a lattice also in words."""
    lattice = BRAVAIS_LATTICES.get(label)
    if lattice is None:
        return {"NoPattern": "no pattern", "NoneOfThese": "none of these"}.get(label, label)
    if label == "hR":
        return "hR  rhombohedral"
    if label == "aP":
        return "aP  triclinic"
    return f"{label}  {_CENTRINGS[label[1]]} {lattice.system}"
