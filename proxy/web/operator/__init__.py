"""What operators reach: the admin port and the control socket."""
