"""What a sweep's folder contains: states, plan, cost, lease, measurements. Knows no torch, no Ray and no MLflow."""
