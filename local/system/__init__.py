"""The operating system: processes, ports, log files, the data directory."""
