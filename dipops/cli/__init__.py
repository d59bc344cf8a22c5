"""What the command line does, one function a command; its docstring is the help."""
