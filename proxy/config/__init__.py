"""The configuration. Law: a Settings that leaves here is whole; all that is wrong is said at once, with its place."""
