"""Connections to providers, and how calls share the event loop. Law of this package: nothing here knows what a call is."""
