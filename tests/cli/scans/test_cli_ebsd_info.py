"""What `info` says of an EBSD scan."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from napari_diffraction.cli.app import run


def test_info_of_a_scan(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scan.oh5"
    with h5py.File(path, "w") as file:
        file["Scan 1/EBSD/Data/Pattern"] = np.random.default_rng(0).integers(0, 9, (7, 12, 16))
        header = {"nRows": 2, "nColumns": 4, "Step X": 0.5, "Step Y": 0.25, "Sample Tilt": 70.0}
        for name, value in header.items():
            file[f"Scan 1/EBSD/Header/{name}"] = [value]
    assert run(["info", str(path)]) == 0
    said = capsys.readouterr().out
    assert "scan of 2 rows x 4 columns" in said
    assert "0.5 x 0.25 um" in said
    assert "sample tilt 70 deg" in said
    assert "pattern centre is unknown" in said
    assert "7 of 2 x 4 points" in said
    assert "wavelength" not in said
