"""The cache service: named values with a time to live, in memory over Redis."""
