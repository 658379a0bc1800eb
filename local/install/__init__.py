"""What the bootstrap is made of. Standard library only, and readable by Python 3.8."""
