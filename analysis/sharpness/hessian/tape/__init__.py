"""One recorded forward pass of a piecewise linear network, and what is pulled back and pushed forward through it."""
