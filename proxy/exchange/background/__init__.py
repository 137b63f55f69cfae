"""What goes on beside calls. Law of this package: no call waits for it."""
