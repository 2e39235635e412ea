"""What a trial is and where it is kept: its spec, its folder, the storage. Knows no torch and no Ray."""
