"""What bench/run is made of: servers and databases of its own, the rows, the report."""
