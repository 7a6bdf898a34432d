"""Settings of space groups: axes and origin."""

import gemmi
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.settings import find_setting, hall_setting, metric_fits, origins

HEXAGONAL = UnitCell(4.759, 4.759, 12.991, gamma=120)
RHOMBOHEDRAL = UnitCell(5.128, 5.128, 5.128, 55.28, 55.28, 55.28)


@pytest.mark.parametrize("name", [167, "167", "R -3 c", "R-3c"])
def test_a_rhombohedral_group_is_on_the_axes_of_the_cell(name):
    assert find_setting(name).xhm() == "R -3 c:H"
    assert find_setting(name, HEXAGONAL).xhm() == "R -3 c:H"
    assert find_setting(name, RHOMBOHEDRAL).xhm() == "R -3 c:R"
    assert metric_fits(RHOMBOHEDRAL, find_setting(name, RHOMBOHEDRAL))
    assert not metric_fits(RHOMBOHEDRAL, find_setting(name))


def test_a_number_is_the_setting_that_gemmi_takes_for_it():
    for number in range(1, 231):
        assert find_setting(number).xhm() == gemmi.find_spacegroup_by_number(number).xhm()
    assert find_setting(0) is None
    assert find_setting(231) is None


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("F d -3 m", ["F d -3 m:1", "F d -3 m:2"]),
        (227, ["F d -3 m:1", "F d -3 m:2"]),
        ("F d -3 m :2", ["F d -3 m:2"]),
        ("F d -3 m S", ["F d -3 m:1"]),
        ("F d -3 m Z", ["F d -3 m:2"]),
        ("FD-3MZ", ["F d -3 m:2"]),
        ("I 41/a", ["I 41/a:1", "I 41/a:2"]),
        ("P n c b", ["P n c b:1", "P n c b:2"]),
        ("R -3 c", ["R -3 c:H"]),
        ("P 21/n", ["P 1 21/n 1"]),
    ],
)
def test_symbols_say_the_origin_or_leave_it_open(name, settings):
    assert [one.xhm() for one in origins(find_setting(name), name)] == settings


def test_a_letter_of_icsd_needs_a_group_of_two_origins():
    assert find_setting("P 21/c Z") is None
    assert find_setting("R -3 c S") is None


def test_halls_symbol_says_all():
    assert hall_setting("-F 4vw 2vw 3").xhm() == "F d -3 m:2"
    assert hall_setting("F 4d 2 3 -1d").xhm() == "F d -3 m:1"
    for symbol in ("", "?", "F d -3 m"):
        assert hall_setting(symbol) is None
