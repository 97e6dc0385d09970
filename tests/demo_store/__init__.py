"""The flagship story on a real Kubernetes, from a warehouse to an app that asks: `python -m demo_store`."""
