"""A page that needs no other file: what all reports have in common."""

from __future__ import annotations

from html import escape
from string import Template

_PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .6rem 0; display: block; overflow-x: auto; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; }
.warning { border-left: .3rem solid #D55E00; padding-left: .6rem; }
$style@media print { h2 { break-after: avoid; } figure { break-inside: avoid; } }
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
"""
)


def html_page(title: str, body: str, style: str) -> str:
    """Write a page.

    Parameters
    ----------
    title
        Plain text.
    body
        HTML below the title.
    style
        Rules of this page besides those of all, a line each.
    """
    return _PAGE.substitute(title=escape(title), body=body, style=style)
