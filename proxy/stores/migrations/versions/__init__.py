"""One file per revision, named `<what>_<revision>.py`."""
