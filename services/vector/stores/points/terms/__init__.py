"""The words of a collection as a whole."""
