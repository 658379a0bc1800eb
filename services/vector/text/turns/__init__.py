"""Conversations told by their shape, and cut into the turns they are made of."""
