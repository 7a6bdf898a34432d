from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py").read_text()


@pytest.mark.parametrize(
    ("needed", "outcome"), [("1", {"failed": 1, "passed": 1}), ("", {"skipped": 1, "passed": 1})]
)
def test_a_skipped_gui_test_fails_where_the_tests_must_be_complete(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, needed: str, outcome: dict[str, int]
) -> None:
    monkeypatch.setenv("NAPARI_DIFFRACTION_NEED_GUI", needed)
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nmarkers = gui")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.gui
        def test_window():
            pytest.skip("no window")

        def test_other():
            pass
        """
    )
    pytester.runpytest_inprocess("-p", "no:xvfb").assert_outcomes(**outcome)
