"""Figures of the paper. Each is two functions: one computes the numbers, one draws them."""
