"""Filters: what points have to be like."""
