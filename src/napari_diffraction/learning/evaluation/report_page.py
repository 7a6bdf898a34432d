"""The page that shows an evaluation: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from napari_diffraction.html_page import html_page
from napari_diffraction.learning.evaluation.result import Evaluation

if TYPE_CHECKING:
    from napari_diffraction.learning.evaluation.figure_files import Drawn

_STYLE = """.figures { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; flex: 0 1 auto; }
figcaption, .facts { color: #555; font-size: .9rem; max-width: 34rem; }
"""
#: Figures of the whole that are shown, and what to call them.
FIGURES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "expected_calibration_error": "Expected calibration error",
}


def page(
    evaluations: Sequence[Evaluation],
    figures: Sequence[Mapping[str, Drawn]],
    comparison: pd.DataFrame | None,
    both: Mapping[str, Drawn],
    facts: Mapping[str, str],
) -> str:
    """Return the page as text.

    Parameters
    ----------
    evaluations
        Of one model, or of several on the same patterns.
    figures
        Of each of them, by name.
    comparison, both
        Table and figures of several models; ``None`` and empty for one.
    facts
        What the page says at its end.
    """
    names = [evaluation.name for evaluation in evaluations]
    parts = []
    if comparison is not None:
        parts += _comparison(comparison, both)
    for evaluation, drawn in zip(evaluations, figures, strict=True):
        parts += _one(evaluation, drawn, several=len(evaluations) > 1)
    parts += ["<h2>Where this comes from</h2>", _facts(facts)]
    title = f"Evaluation of {' and '.join(names)}"
    return html_page(title, "\n".join(parts), _STYLE)


def _one(evaluation: Evaluation, drawn: Mapping[str, Drawn], *, several: bool) -> list[str]:
    parts = [f"<h2>Model {escape(evaluation.name)}</h2>"] if several else []
    parts += [_notes(evaluation), headline(evaluation)]
    parts += ["<h2>Confusion matrix</h2>", _figures(drawn, "confusion")]
    if len(evaluation.unknown):
        parts += [
            "<p>What the model called the classes that it does not know:</p>",
            evaluation.unknown.to_html(border=0),
        ]
    parts += ["<h2>Classes</h2>", per_class(evaluation), _figures(drawn, "per_class")]
    parts += [
        "<h2>How far the confidence can be trusted</h2>",
        _figures(drawn, "reliability", "coverage"),
        _thresholds(evaluation),
    ]
    for name, title in (
        ("worst", "Wrong, though the model was sure"),
        ("least_certain", "Least certain"),
    ):
        if name in drawn:
            parts += [f"<h2>{title}</h2>", _figures(drawn, name)]
    return parts


_CAPTIONS = {
    "confusion": "Patterns by true and assigned class, with the share of the true class.",
    "per_class": "Precision, recall and F1 of each class with their 95 % intervals.",
    "reliability": "How often the model is right at each confidence (bars: 95 %, Wilson), and how "
    "many patterns have that confidence.",
    "coverage": "How many are right among the patterns that a confidence threshold keeps; dots: "
    "the thresholds below.",
    "worst": "Number, true class, assigned class and confidence; the surest first.",
    "least_certain": "Number, true class, assigned class and confidence; the least certain first.",
    "comparison": "Balanced accuracy of the models with its 95 % interval.",
    "comparison_coverage": "How many are right among the patterns that a confidence threshold "
    "keeps.",
}


def _figures(drawn: Mapping[str, Drawn], *names: str) -> str:
    made = [
        f'<figure><img src="{drawn[name].source}" alt="{escape(_CAPTIONS[name])}">'
        f"<figcaption>{escape(_CAPTIONS[name])}</figcaption></figure>"
        for name in names
    ]
    return f'<div class="figures">{"".join(made)}</div>'


def _notes(evaluation: Evaluation) -> str:
    leaked = bool(evaluation.summary.get("training_patterns_here"))
    items = []
    for note in evaluation.notes:
        kind = ' class="warning"' if leaked and note == evaluation.notes[-1] else ""
        items.append(f"<li{kind}>{escape(note)}</li>")
    return f"<ul>{''.join(items)}</ul>"


def headline(evaluation: Evaluation) -> str:
    """Return the table of the figures of the whole, with their intervals."""
    summary = evaluation.summary
    rows = [("Patterns judged", f"{summary['judged']:,} of {summary['patterns']:,}", "")]
    tops = {
        name: f"True class among the first {name.split('_')[1]}"
        for name in summary
        if name.startswith("top_") and not name.endswith("_95")
    }
    for name, title in {**FIGURES, **tops}.items():
        low, high = summary[f"{name}_95"]
        rows.append((title, number(summary[name]), f"{number(low)} to {number(high)}"))
    if "expected_calibration_error_at_shares" in summary:
        shares = ", ".join(f"{value:g} {name}" for name, value in summary["shares"].items())
        rows.append(
            (
                "Expected calibration error at natural shares",
                number(summary["expected_calibration_error_at_shares"]),
                f"for {shares}",
            )
        )
    table = pd.DataFrame(rows, columns=["", "value", "95 %"])
    return str(table.to_html(index=False, border=0))


def per_class(evaluation: Evaluation) -> str:
    """Return the table of the classes."""
    classes = evaluation.per_class
    table = pd.DataFrame(index=pd.Index(classes.index, name=None))
    for name in ("precision", "recall", "f1"):
        table[name] = [
            f"{number(value)} ({number(low)} to {number(high)})"
            for value, low, high in zip(
                classes[name], classes[f"{name}_low"], classes[f"{name}_high"], strict=True
            )
        ]
    table["patterns"] = [f"{count:,}" for count in classes["support"]]
    table["average precision"] = [number(value) for value in classes["average_precision"]]
    if "precision_at_shares" in classes:
        table["precision at natural shares"] = [
            number(value) for value in classes["precision_at_shares"]
        ]
    return str(table.rename(columns={"f1": "F1"}).to_html(border=0))


def _thresholds(evaluation: Evaluation) -> str:
    if evaluation.thresholds.empty:
        return "<p>No threshold makes 90 % of the patterns that it keeps right.</p>"
    rows = [
        f"<li>For {row['wanted']:.0%}, take the threshold {row['threshold']:.3f}: it keeps "
        f"{row['coverage']:.1%} of the patterns, of which {row['accuracy']:.1%} are right.</li>"
        for _, row in evaluation.thresholds.iterrows()
    ]
    return f"<ul>{''.join(rows)}</ul>"


def _comparison(comparison: pd.DataFrame, both: Mapping[str, Drawn]) -> list[str]:
    return [
        "<h2>Comparison</h2>",
        f"<p>On the {int(comparison['patterns'].iloc[0]):,} patterns that all models could judge. "
        "Differences are to the first model, with 95 % intervals from a paired bootstrap; one that "
        "does not hold 0 is real. McNemar's p takes patterns as independent.</p>",
        comparison_table(comparison).to_html(border=0),
        _figures(both, "comparison", "comparison_coverage"),
    ]


def comparison_table(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return a comparison as text for people: one row a model, intervals in brackets."""
    table = pd.DataFrame(index=pd.Index(comparison.index, name=None))
    columns = {name: title for name, title in FIGURES.items() if name in comparison}
    columns["balanced_accuracy_difference"] = "Difference in balanced accuracy"
    for name, title in columns.items():
        table[title] = [
            f"{number(value)} ({number(low)} to {number(high)})" if pd.notna(value) else ""
            for value, low, high in zip(
                comparison[name], comparison[f"{name}_low"], comparison[f"{name}_high"], strict=True
            )
        ]
    table["McNemar's p"] = [f"{p:.2g}" if pd.notna(p) else "" for p in comparison["mcnemar_p"]]
    return table


def _facts(facts: Mapping[str, str]) -> str:
    items = [
        f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in facts.items()
    ]
    return f'<table class="facts">{"".join(items)}</table>'


def number(value: float | None) -> str:
    """Return a figure with three decimals, a dash where it is undefined."""
    return "–" if value is None or pd.isna(value) else f"{value:.3f}"
