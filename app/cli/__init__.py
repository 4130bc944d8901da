"""The command line: one file per noun, and one door through which each of them asks."""


def main() -> None:
    """The console script `pinrail`."""
    from app.cli.program import main as run

    run()
