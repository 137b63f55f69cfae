"""What we remember. Law of this package: nothing here knows what a call is, only records and rows."""
