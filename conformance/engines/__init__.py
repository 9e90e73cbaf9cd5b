"""Ways to come by programs, to run them on a stack and to judge what happened."""
