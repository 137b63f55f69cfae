"""What one protocol says, said in another: requests, replies, streams and errors of chat, messages and responses.

Nothing here knows who asks or who answers; ids and times come in as arguments. What cannot be said is a loss, listed.
"""
