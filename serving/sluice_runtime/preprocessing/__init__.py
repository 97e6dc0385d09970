"""A package's own Python code around its graph: whether its libraries are there, its import, and its runs."""
