"""Features that callers leave out, from the feature store: `source.py` is what the rest of the runtime knows of it."""
