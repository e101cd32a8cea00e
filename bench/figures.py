"""What a measure's figures are called, and which way is better."""

from dataclasses import dataclass
from enum import Enum


class Better(Enum):
    """Which way a figure is better."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Figure:
    """One field of a measure's rows."""

    field: str
    heading: str
    better: Better
