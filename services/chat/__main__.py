"""`python -m services.chat`"""

from services.chat.assemble import assemble
from services.chat.settings import ChatSettings
from services.runtime.start import main

if __name__ == "__main__":
    # The gateway sends reflection here, so this service lists the others' contracts too.
    main("chat", ChatSettings, assemble, reflect_all=True)
