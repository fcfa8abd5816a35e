"""What touches the machine: processes, files, environment variables."""
