"""Files into flat text with structure, read by processes of their own that can be killed."""
