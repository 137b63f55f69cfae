"""Models, as operators see and switch them."""
