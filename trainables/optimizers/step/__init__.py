"""What a step of two gradients needs: vectors over many tensors and shards, own state, loss scaling, batch-norm."""
