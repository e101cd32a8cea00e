"""One module per measure: its docstring is the help, `add_options` its options, `run` what it does."""
