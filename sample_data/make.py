"""Make the files of this folder: ``python sample_data/make.py``."""

from pathlib import Path

from napari_diffraction.progress import finish
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.samples import hybrids, serial_experiment

FOLDER = Path(__file__).parent


def main() -> None:
    """Simulate the samples and write them with their truth."""
    for name, work in (("serial_60.h5", serial_experiment(n=60)), ("hybrids.h5", hybrids())):
        path = save_simulated(finish(work), FOLDER / name)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
