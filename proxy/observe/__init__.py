"""What we tell the operator. Law of this package: nothing here can fail a call."""
