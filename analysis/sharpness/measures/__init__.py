"""The measures of sharpness, one family a file."""
