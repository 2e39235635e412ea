"""The ways to multiply a block of the loss Hessian with vectors."""
