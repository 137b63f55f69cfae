"""What `tollkeeper tail` and `tollkeeper top` show: from answers to lines, without a clock, a terminal or a socket.

Only `terminal` touches the terminal and only `watch` asks the daemon; everything else is pure.
"""
