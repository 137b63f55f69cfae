"""What we decide. Law of this package: same arguments, same answer.

No clock, no chance, no log, no I/O, no await: `now` and `jitter` come in as arguments.
"""
