"""How fast the runtime serves, beside a bare echo, the bare session and its peers: `python -m bench.serving`."""
