"""The measures of sharpness, one file for each family."""
