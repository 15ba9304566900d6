"""What is kept from whom we don't trust: secrets never leave, and files that a stranger names are looked at first."""
