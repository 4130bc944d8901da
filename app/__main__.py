"""`python3 -m app`: sets itself up where needed, then runs the command line; without a command, everything."""

from app.setup.require_python import refuse_old_python

refuse_old_python()

from app.setup.bootstrap import enter  # noqa: E402  # an old Python could not even read it

enter("app", with_tests=False)

from app.cli import main  # noqa: E402  # its libraries exist only inside the environment

if __name__ == "__main__":
    main()
