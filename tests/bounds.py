"""The only durations that tests assert, all in seconds. Generous: they tell a broken promise, not a slow machine.

The shortest are held against support/steady.py, whose clock stands still while the machine does.
"""

from typing import Final

AFTER_DEADLINE: Final = 0.25
"""How long after its deadline a call may still take to end."""
AFTER_CANCEL: Final = 1.0
"""How long a cancelled call's work may go on."""
STATEMENT_ENDS: Final = 0.25
"""How long after its call's deadline, or after its caller has gone, a statement may still run in PostgreSQL."""
RECOVERY: Final = 10.0
"""How long after a dependency is back everything must work again."""
COLD_STORE: Final = 30.0
"""The same for a graph store that was just started: its Java is cold, and the first login alone takes seconds there."""
COMMAND: Final = 60.0
"""How long a command may take that has little to do."""
