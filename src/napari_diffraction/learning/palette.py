"""One colour for each class, the same in every widget, layer and plot."""

from __future__ import annotations

from napari_diffraction.learning.classes import LAUE, MULTIPLE, NO_HIT, UNREADABLE, ZONE

#: Okabe and Ito's colours that stand out from black and from white, with the grey that is usually
#: added to them.  They can be told apart with any kind of colour vision.
OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#F0E442")
GREY = "#999999"

#: Zones, which are looked for, are the most striking; a frame without a crystal is grey.
CLASS_COLOURS = {
    ZONE: "#E69F00",
    LAUE: "#56B4E9",
    NO_HIT: GREY,
    MULTIPLE: "#CC79A7",
    UNREADABLE: "#D55E00",
}


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
        return OKABE_ITO[classes.index(label) % len(OKABE_ITO)]
    return GREY
