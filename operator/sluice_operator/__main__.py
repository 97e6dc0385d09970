"""Lets `python -m sluice_operator` start the operator, as its image does."""

from sluice_operator.main import main

main()
