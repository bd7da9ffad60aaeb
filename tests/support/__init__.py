"""What the test folders share; importable in every worker process."""
