"""Sweep files: YAML in, one frozen and validated SweepConfig and its list of TrialSpecs out."""
