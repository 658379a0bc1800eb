"""The tables of one collection: their layout, writing, searching, merging, and the feed of what changed."""
