"""What we answer to. Law of this package: nothing here knows how an answer is made."""
