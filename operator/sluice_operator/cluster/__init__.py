"""The only I/O: what the operator reads from and writes to the cluster, in the terms that planning thinks in."""
