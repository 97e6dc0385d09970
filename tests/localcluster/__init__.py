"""A real single-node Kubernetes on one Linux machine, without Docker: see `cluster.py` for the path."""
