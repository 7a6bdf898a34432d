"""Networks that look at whole pictures: their data, training, and weights from elsewhere.

In come simulated or labelled patterns; out go models of any network of the table.
"""
