"""The proof harness: a scripted upstream, the real daemon, a raw client. Law: nothing here imports `proxy`."""
