"""What the daemon costs, beside nginx and Caddy as bare reverse proxies to the same upstream, in one run."""
