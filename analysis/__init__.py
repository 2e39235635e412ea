"""From a checkpoint to sharpness measures, and from measures to Kendall's tau. Knows no Ray and no trial."""
