"""What a trial trains: specs, data, networks, optimizers and the training loop. Ray appears in `trainable.py` alone."""
