"""Routing: which of several candidates a call goes to, and why."""
