"""Everything that reads a file of somebody else: what writes a good one, and what reads it."""

from __future__ import annotations

import math
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import vendor_files
from damage import Damage, binary, cuts, text
from hypothesis import strategies as st
from pattern_files import WRITERS

from napari_diffraction.errors import InputError

# Libraries take some memory for themselves, whatever the file.
FIXED_BYTES = 8 * 2**20
_LONGEST = 1000


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes
    ----------
    make
        Writes a good input into a folder and returns what is opened.
    read
        Reads it as far as a person would.
    damages
        Strategy for the damage.
    memory
        Whether reading has to do with little memory.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    damages: st.SearchStrategy[Damage] = binary
    memory: bool = True


class Case:
    """The files of a target, of which one is damaged at a time.

    Parameters
    ----------
    target
        What is tried.
    folder
        An empty folder.
    """

    def __init__(self, target: Target, folder: Path) -> None:
        self.target, self.path = target, target.make(folder)
        self.files = sorted(p for p in folder.rglob("*") if p.is_file())
        self.contents = [file.read_bytes() for file in self.files]
        target.read(self.path)  # what is imported on first use is not counted below

    def attempt(self, number: int, damage: Damage, *, memory: bool) -> bool:
        """Damage a file and read it: whether something could be read.

        Raises
        ------
        AssertionError
            The refusal is not one sentence that names the file, or memory was wasted.
        """
        file, content = self.files[number], self.contents[number]
        file.write_bytes(damage(content))
        if memory:
            tracemalloc.start()
        peak, read = 0, True
        try:
            self.target.read(self.path)
        except InputError as error:
            read, message = False, str(error)
            assert "\n" not in message, message
            assert len(message) < _LONGEST, message
            names = {self.path.name, *(other.name for other in self.files)}
            assert any(name in message for name in names), message
        finally:
            if memory:
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
            # a file that is still open or mapped keeps what it was
            file.unlink()
            file.write_bytes(content)
        assert peak < FIXED_BYTES + 10 * sum(map(len, self.contents)), f"{peak:,} bytes"
        return read


# --- patterns

BYTES_ONLY = {".png", ".bmp", ".blo"}
SINGLE = {".png", ".bmp", ".img", ".cbf"}
# Changed bytes in their texts can crash the HDF5 library, which rosettasciio reads first of all.
ONLY_CUT = {".emd"}


def read_patterns(path: Path) -> None:
    """Open a stack and read some of its patterns in both ways."""
    from napari_diffraction.patterns.readers import can_read, open_stack

    can_read(path)
    stack = open_stack(path)
    for index in {*range(min(len(stack), 4)), len(stack) - 1}:
        try:
            pattern = stack.frame(index)
        except InputError:
            continue
        assert pattern.shape == stack.frame_shape
        assert pattern.dtype == stack.data.dtype
    assert np.asarray(stack.data[(0,) * (stack.data.ndim - 2)]).shape == stack.frame_shape


def _written(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        data = np.random.default_rng(0).integers(0, 200, (1 if kind in SINGLE else 3, 64, 64))
        path = folder / f"run_000{kind}"
        WRITERS[kind](path, data.astype("u1" if kind in BYTES_ONLY else "u2"))
        return path

    return make


def _patterns(n: int, side: int = 32, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, (n, side, side)).astype(dtype)


def _bcf(folder: Path) -> Path:
    files = vendor_files.ebsd_files(_patterns(6), list(range(6)), 2, 3)
    packed = {name: vendor_files.zipped(content) for name, content in files.items()}
    return vendor_files.Container(2048).write(folder / "a.bcf", packed)


def _movie(folder: Path) -> Path:
    WRITERS[".mrc"](folder / "a_movie.mrc", _patterns(6))
    (folder / "a_info.txt").write_text(vendor_files.info(**{"Scan - Size X": "2"}))
    return folder / "a_movie.mrc"


def _merlin(folder: Path) -> Path:
    WRITERS[".mib"](folder / "a.mib", _patterns(6))
    (folder / "a.hdr").write_text(
        "HDR,\t\nFrames in Acquisition (Number):\t6\nFrames per Trigger (Number):\t3\nEnd\t\n"
    )
    return folder / "a.mib"


def _empad(folder: Path) -> Path:
    return vendor_files.empad(folder, _patterns(2, 128, "f4"), "", "scan_x2_y1.raw")


def _gif(folder: Path) -> Path:
    from PIL import Image

    frames = [Image.fromarray(frame) for frame in _patterns(4, dtype="u1")]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:], optimize=False)
    return folder / "a.gif"


def _zipped(folder: Path) -> Path:
    import zarr
    from zarr.storage import ZipStore

    data = _patterns(4)
    with ZipStore(folder / "a.zarr", mode="w") as store:
        array = zarr.create_array(store, shape=data.shape, chunks=(2, 32, 32), dtype=data.dtype)
        array[...] = data
    return folder / "a.zarr"


def _jpeg(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(_patterns(1, dtype="u1")[0]).save(folder / "a.jpg")
    return folder / "a.jpg"


def _virtual(folder: Path) -> Path:
    layout = h5py.VirtualLayout((2, 3, 32, 32), "u2")
    for row in range(2):
        with h5py.File(folder / f"row{row}.h5", "w") as file:
            file.create_dataset("data", data=_patterns(3), chunks=(1, 32, 32))
        layout[row] = h5py.VirtualSource(f"row{row}.h5", "data", (3, 32, 32))
    with h5py.File(folder / "master.nxs", "w") as file:
        file.create_virtual_dataset("entry/data/data", layout)
        file["entry/data"].attrs["signal"] = "data"
        file["entry/other"] = h5py.ExternalLink("row0.h5", "data")
    return folder / "master.nxs"


def _ebsd(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        data = file.create_group("Scan 0/EBSD/Data")
        data["RawPatterns"] = _patterns(12, dtype="u1")
        for name, value in (("PCX", 0.5), ("PCY", 0.3), ("DD", 0.6)):
            data[name] = np.linspace(value, value + 0.01, 12)
        header = file.create_group("Scan 0/EBSD/Header")
        numbers = {"NCOLS": 4, "NROWS": 3, "XSTEP": 0.5, "YSTEP": 0.25, "KV": 20.0}
        for name, number in numbers.items():
            header[name] = number
        header["Grid Type"] = np.array([b"isometric"])
        header["StaticBackground"] = np.ones((32, 32), "u1")
        grid = np.arange(12, dtype="i4")
        file["Scan 0/SEM/SEM IX"], file["Scan 0/SEM/SEM IY"] = grid % 4, grid // 4
    return folder / "a.h5"


def _up(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pixels = np.random.default_rng(0).integers(0, 255, 12 * 16 * 12).astype("u1")
        head = struct.pack("<4I", 3, 16, 12, 42) + struct.pack("<xIIBdd", 4, 3, 0, 0.5, 0.25)
        (folder / name).write_bytes(head + pixels.tobytes())
        return folder / name

    return make


def _nordif(folder: Path) -> Path:
    (folder / "Setting.txt").write_text(
        "[Microscope]\nAccelerating voltage\t20\tkV\nTilt angle\t70\t\xb0\n[Detector angles]\n"
        "Elevation\t5\t\xb0\n[Acquisition settings]\nResolution\t16x12\tpx\n"
        "[Area]\nStep size\t0.25\t\xb5m\nNumber of samples\t3x4\t#\n",
        encoding="latin-1",
    )
    (folder / "Pattern.dat").write_bytes(bytes(range(192)) * 12)
    return folder / "Pattern.dat"


def _folder(folder: Path) -> Path:
    for number in range(4):
        path = folder / f"map_x{number % 2}y{number // 2}.tif"
        WRITERS[".tif"](path, _patterns(1))
    return folder


# --- maps, crystals, recipes, models, reviews


def read_a_map(path: Path) -> None:
    """Read a map and look at its parts."""
    from napari_diffraction.patterns.maps.files import read_map

    found = read_map(path)
    assert found.phase.max() < len(found.names) == len(found.lattices)
    assert found.phase.size < 1_000_000


ANG = "# Phase 1\n# MaterialName Ni\n# GRID: SqrGrid\n# XSTEP: 1.0\n# YSTEP: 1.0\n" + "".join(
    f"1.0 2.0 3.0 {i % 3}.0 {i // 3}.0 9.0 0.5 1 1 1.0\n" for i in range(9)
)
CTF = (
    "Channel Text File\nXCells\t3\nYCells\t3\nXStep\t1\nYStep\t1\nPhases\t1\n"
    "3;3;3\t90;90;90\tNi\t11\t225\nPhase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\n"
) + "".join(f"1\t{i % 3}\t{i // 3}\t8\t0\t1.0\t2.0\t3.0\n" for i in range(9))


def _orix(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file["manufacturer"], file["version"] = ["orix"], ["0.13"]
        data = file.create_group("crystal_map/data")
        y, x = np.divmod(np.arange(9), 3)
        data["x"], data["y"] = x * 0.5, y * 0.25
        data["phase_id"], data["is_in_data"] = np.zeros(9, "i4"), np.ones(9, bool)
        for name in ("phi1", "Phi", "phi2"):
            data[name] = np.linspace(0, 1, 9)
        header = file.create_group("crystal_map/header")
        header["grid_type"] = np.array([b"square"])
        header["x_step"], header["y_step"] = [0.5], [0.25]
        header["phases/0/name"] = np.array([b"Nickel"])
        header["phases/0/space_group"] = np.array([225])
    return folder / "a.h5"


CIF = """data_NaCl
_chemical_name_mineral Halite
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_space_group_IT_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Na1 Na 0 0 0 1.0 0.0064
Cl1 Cl 0.5 0.5 0.5 0.9 0.0051
"""


def read_a_crystal(path: Path) -> None:
    """Read a CIF file and use its structure."""
    from napari_diffraction.crystal.cif import read_cif

    structure = read_cif(path)
    assert math.isfinite(structure.cell.volume)


def _recipe(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from napari_diffraction.learning.training import recipe

        shipped = Path(recipe.__file__).parent / "recipes" / name
        (folder / "a.toml").write_bytes(shipped.read_bytes())
        return folder / "a.toml"

    return make


def read_a_recipe(path: Path) -> None:
    """Read a recipe."""
    from napari_diffraction.learning.training.recipe import read_recipe

    read_recipe(path)


def _model(folder: Path) -> Path:
    from untrained import untrained_classifier

    from napari_diffraction.learning.models.classifier import save_classifier

    made = untrained_classifier()
    save_classifier(made.network, made.card, folder / "a.safetensors")
    return folder / "a.safetensors"


def read_a_model(path: Path) -> None:
    """Read a model's card, then the whole model."""
    from napari_diffraction.learning.models.classifier import load_classifier, read_card

    read_card(path)
    load_classifier(path)


def _review(folder: Path) -> Path:
    import pandas as pd

    from napari_diffraction.review.session import ReviewSession

    names = ["2DZone", "3DLaueIntersections", "NoHit", "MultipleCrystals"]
    table = pd.DataFrame(
        {
            "index": range(6),
            "source": "x.npy",
            "label": names[:3] * 2,
            "confidence": np.linspace(0.2, 0.9, 6),
            **{f"p_{name}": 0.25 for name in names},
        }
    )
    session = ReviewSession(table, "key", folder / "key", about={"model": "zones"})
    session.save()
    for index, label in ((1, "NoHit"), (4, "2DZone")):
        session.decide(index, label)
    return folder / "key"


def read_a_review(path: Path) -> None:
    """Take up a review and look at it; damage is never told, since nothing is lost by it."""
    from napari_diffraction.review.session import ReviewSession

    session = ReviewSession.restore(path.name, path)
    for index in (0, 1, 4):
        session.label(index)
        session.reviewer(index)
    session.table()


def targets() -> Iterator[tuple[str, Target]]:
    """Yield all targets by their names."""
    for kind in WRITERS:
        yield (
            kind.strip("."),
            Target(_written(kind), read_patterns, cuts if kind in ONLY_CUT else binary),
        )
    others: dict[str, Callable[[Path], Path]] = {
        "jpg": _jpeg,
        "gif": _gif,
        "zipped.zarr": _zipped,
        "bcf": _bcf,
        "app5": lambda folder: vendor_files.topspin(folder / "a.app5", _patterns(10), range(10)),
        "arina": lambda folder: vendor_files.arina(folder, _patterns(12), vendor_files.BESIDE),
        "prz": lambda folder: vendor_files.prz(folder / "a.prz", _patterns(4)),
        "virtual.nxs": _virtual,
        "ebsd.h5": _ebsd,
        "up1": _up("a.up1"),
        "up2": _up("a.up2"),
    }
    for name, make in others.items():
        yield name, Target(make, read_patterns)
    texts: dict[str, Callable[[Path], Path]] = {
        "movie.mrc": _movie,
        "hdr.mib": _merlin,
        "empad": _empad,
        "nordif": _nordif,
    }
    for name, make in texts.items():
        yield name, Target(make, read_patterns, st.one_of(binary, text))
    yield "folder", Target(_folder, read_patterns)
    yield "ang", Target(_text("a.ang", ANG), read_a_map, text)
    yield "ctf", Target(_text("a.ctf", CTF), read_a_map, text)
    yield "map.h5", Target(_orix, read_a_map)
    yield "cif", Target(_text("a.cif", CIF), read_a_crystal, text)
    for name in ("zones", "bravais", "labels", "pair-tic-ni"):
        yield f"{name}.toml", Target(_recipe(f"{name}.toml"), read_a_recipe, text)
    yield "safetensors", Target(_model, read_a_model, st.one_of(binary, text), memory=False)
    yield "review", Target(_review, read_a_review, text)


def _text(name: str, content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return make


TARGETS = dict(targets())
