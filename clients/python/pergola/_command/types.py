"""Types of arguments."""


def positive(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


positive.__name__ = "whole number from 1 on"  # argparse quotes it: "invalid whole number from 1 on value: '0'"
