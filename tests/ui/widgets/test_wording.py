from napari_diffraction.ui.widgets.wording import counted


def test_one_of_a_thing_is_no_plural():
    said = [counted(number, "patterns") for number in (0, 1, 1200)]
    assert said == ["0 patterns", "1 pattern", "1,200 patterns"]
