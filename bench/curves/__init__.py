"""One module per curve: its docstring is the help, CURVE what it counts and how it is measured."""
