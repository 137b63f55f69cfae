"""What bytes mean. Law of this package: nothing here knows what we do with what it reads.

Pure: no clock, no chance, no log, no I/O, no await.
"""
