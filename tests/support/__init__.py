"""What every test here needs: servers to talk to, databases for them, and a plain HTTP client."""
