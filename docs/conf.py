"""Sphinx settings; `make docs` builds the pages, and a warning is an error."""

import re
from importlib.metadata import version as installed_version
from typing import Any

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
]
exclude_patterns = [
    "_build",
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


def _keep_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let |F| be an absolute value; reStructuredText would take it for a substitution."""
    for number, line in enumerate(lines):
        parts = re.split("(``.*?``)", line)
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _keep_bars)
