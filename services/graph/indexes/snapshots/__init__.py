"""Indexes as files, so that a start need not read every passage again."""
