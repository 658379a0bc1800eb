"""What every benchmark shares: rounds that alternate, medians, the machine, the report."""
