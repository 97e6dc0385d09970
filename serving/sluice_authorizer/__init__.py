"""Answers the routers' question "may this caller?", so that no model pod ever sees a token or holds a cluster right."""
