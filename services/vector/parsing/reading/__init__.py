"""What all readers share: finding out the format, decoding, archives, markup, and building the result."""
