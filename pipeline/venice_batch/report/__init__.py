"""What people and scripts are shown: tables, JSON, CSV, and live progress."""
