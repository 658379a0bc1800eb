"""Points by themselves, apart from documents."""
