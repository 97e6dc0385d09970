"""Autoscalers, one renderer a module: what holds the number of a revision's pods."""
