import pytest

from napari_diffraction.analysis.indexed.words import cell_text, summary, with_su


@pytest.mark.parametrize(
    ("value", "su", "text"),
    [
        (3.5238, 0.003, "3.524(3)"),
        (3.5238, 0.0123, "3.524(12)"),
        (0.50871, 0.00042, "0.5087(4)"),
        (105.68, 0.2, "105.7(2)"),
        (12.3, 3.0, "12(3)"),
        (123.4, 21.0, "120(20)"),
        (3.5238, 0.0, "3.5238"),
        (3.5238, float("nan"), "3.5238"),
        (3.5238, 0.0098, "3.524(10)"),
        (3.5238, 0.00196, "3.524(2)"),
    ],
)
def test_uncertainties_stand_in_the_last_digits(value, su, text):
    assert with_su(value, su) == text


def test_only_free_parameters_are_named(indexed, make_indexed):
    cubic, hexagonal, monoclinic = indexed.phases
    assert cell_text(cubic) == "a = 3.520(10) A"
    assert cell_text(hexagonal) == "a = 2.950(10) A, c = 4.69(2) A"
    assert cell_text(monoclinic).endswith("beta = 105.7(2) deg")
    unscaled = type(cubic)(**vars(cubic) | {"scale_known": False})
    assert "common factor" in cell_text(unscaled)


def test_the_summary_tells_phases_doubts_and_assumptions(make_indexed):
    text = "\n".join(summary(make_indexed(geometry=None)))
    assert "Pattern centre (0.5000(10), 0.300(2), 0.600(3)), found; 15 kV, from the file." in text
    assert "43.8%  phase 1: cF  face-centred cubic (p = 0.97), 3 grains, misfit 0.40 deg" in text
    assert "looks like: Ni (0.90)" in text
    assert "in doubt: The data cannot tell." in text
    assert "2.1%  not indexed" in text
    assert "Note: Three phases were found." in text
    assert "tilt of the sample is not known" in text
