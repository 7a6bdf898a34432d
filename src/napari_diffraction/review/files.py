"""Writing whole files, under its former name."""

from napari_diffraction.files import replacing, writing_error

__all__ = ["replacing", "writing_error"]
