"""The journal as rows and sums, filled by one thread. What is asked of it is in `proxy/stores/questions`."""
