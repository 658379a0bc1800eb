"""Words: of a collection as a whole, and how points are scored by theirs."""
