"""From matrix-vector products to a spectrum."""
