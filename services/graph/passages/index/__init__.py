"""Passages, their vectors, terms and phrases in compact arrays, changed one passage at a time."""
