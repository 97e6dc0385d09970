"""Feature creation: from a warehouse into the online store, and into training data, by one set of definitions."""
