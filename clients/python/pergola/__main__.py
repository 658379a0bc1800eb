"""`python -m pergola`: the command."""

from pergola._command.main import run

if __name__ == "__main__":
    run()
