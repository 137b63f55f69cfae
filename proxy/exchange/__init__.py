"""The way through. Law of this package: nothing here decides; it asks and awaits.

Read `serve.py` first. Here lies what calls go through; what no call enters lies in the rooms `background` and `reporting`.
Only `upstream.py` speaks to providers, over connections of `io`; only `client.py` writes replies.
"""
