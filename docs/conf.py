"""Sphinx settings; `make docs` builds the pages, and a warning is an error."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))

project = "napari-diffraction"
author = "The napari-diffraction developers"
copyright = "The napari-diffraction developers, BSD-3-Clause"
release = version = installed_version("napari-diffraction")

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_build",
    "examples",
    "accuracy_tables.md",
    "accuracy_bravais_tables.md",
    "accuracy_indexing_tables.md",
    "accuracy_pictures_tables.md",
]
html_theme = "furo"
html_title = "napari-diffraction"
html_logo = html_favicon = "images/logo.svg"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Single backticks in docstrings name Python objects; those of other libraries stay plain text.
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# "rows" and the like in the shape of an array are also the names of attributes.
suppress_warnings = ["ref.python"]
# A name is described where it is defined, not where it is offered again.
autodoc_default_options = {"ignore-module-all": True}
apidoc_modules = [
    {
        "path": "../src/napari_diffraction",
        "destination": "api",
        "exclude_patterns": ["**/ui/**", "**/cli/**"],
        "max_depth": 2,
        "separate_modules": True,
        "include_private": False,
        "module_first": True,
    }
]
# The examples are run every time, since it is the program that changes and not they.
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figures_without_window", "matplotlib"),
    "run_stale_examples": True,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "min_reported_time": 3600,
    "show_signature": False,
}


def _keep_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let |F| be an absolute value; reStructuredText would take it for a substitution."""
    for number, line in enumerate(lines):
        parts = re.split("(``.*?``)", line)
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _keep_bars)
