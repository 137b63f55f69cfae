"""Where calls go that have several ways: what is known of these; the decisions are in `proxy/policy/routing`."""
