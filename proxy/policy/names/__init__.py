"""Names: which model a client means, who serves it, who may use it."""
