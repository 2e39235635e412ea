"""What a sweep file says: YAML in, one frozen and validated SweepConfig and its list of TrialSpecs out."""
