"""Parquet sets of images as their files say them: rows, labels, fingerprint. Decodes nothing, and knows no torch."""
