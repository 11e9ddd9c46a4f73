"""Heads on features: logistic regression, its kernel space, out-of-fold scores, calibration.

Takes features, targets and head settings; knows nothing of images or recipes.
"""
