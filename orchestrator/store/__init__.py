"""What a sweep's folder says: states, plan, cost, lease, measurements. Knows no torch, no Ray and no MLflow."""
