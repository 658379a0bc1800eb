"""Grounding an answer: passages are retrieved, numbered into the prompt, and found again as citations."""
