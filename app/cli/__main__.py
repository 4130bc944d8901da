"""`python -m app.cli`: the command line in the present Python, as the supervisor starts its parts."""

from app.cli import main

if __name__ == "__main__":
    main()
