"""One module per measure: its docstring is the help, `add_options` its options, `run` what it does.

Those of servers have besides: SERVERS, which it is for unless others are chosen; FIGURES, what a change shows in, and
which way is better; `measure`, which does it with any servers.
"""
