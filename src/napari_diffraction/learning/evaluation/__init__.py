"""How good models are: figures with intervals, comparison of models, pictures and a report.

In come classifications and the truth; out go tables, figures and a page.
"""
