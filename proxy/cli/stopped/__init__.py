"""Answers and orders on the files of a daemon that does not run."""
