"""The main job, end to end, on a real Kubernetes: `python -m demo`."""
