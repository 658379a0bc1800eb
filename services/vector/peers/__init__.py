"""Other services, as this one uses them."""
