"""Sharpness measures of a network, and Kendall's tau of measures. Imports neither Ray nor anything about trials."""
