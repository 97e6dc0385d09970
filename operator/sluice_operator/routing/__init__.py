"""How requests are split between revisions: pure renderers behind the small interface in `base`."""
