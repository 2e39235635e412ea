"""What defines a trial and where it is stored: its spec, its folder, the storage. Knows no torch and no Ray."""
