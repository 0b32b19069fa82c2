"""The `oneword` command; thin: one file a command."""
