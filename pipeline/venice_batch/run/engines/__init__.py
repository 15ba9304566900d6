"""Where tasks are carried out: threads of this machine."""
