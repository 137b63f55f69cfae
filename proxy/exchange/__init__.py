"""The way through. Law of this package: nothing here decides; it asks and awaits.

Read `serve.py` first. Only `upstream.py` opens connections to providers, only `client.py` writes replies.
"""
