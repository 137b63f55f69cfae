"""What a name under `models:` says of the calls that name it. Pure."""
