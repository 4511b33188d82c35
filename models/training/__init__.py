"""Fitting the models: data sets, rendering, splits, evaluation. Never imported by the live chain."""
