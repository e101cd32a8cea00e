"""The one error that is told to the person at the terminal in plain words, without a stack."""


class Trouble(Exception):
    """Something in the way of measuring: what it is, and what to do."""
