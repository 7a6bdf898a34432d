"""``python -m napari_diffraction.cli``."""

from napari_diffraction.cli.app import main

main()
