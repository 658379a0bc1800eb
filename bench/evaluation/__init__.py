"""How well passages are found, measured through the whole suite as people run it: `make eval`."""
