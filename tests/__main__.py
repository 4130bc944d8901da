"""`python3 -m tests`: sets itself up where needed, then checks everything; with arguments, what they say.

python3 -m tests                  ruff, mypy, the import rules, then every test
python3 -m tests tests/gateway    any arguments of pytest: only pytest, with these
python3 -m tests bench            the benchmarks
python3 -m tests lock             requirements.lock anew from pyproject.toml
"""

from app.setup.require_python import refuse_old_python

refuse_old_python()

from app.setup.bootstrap import enter  # noqa: E402  # an old Python could not even read it

enter("tests", with_tests=True)

from tests.check import main  # noqa: E402  # its libraries exist only inside the environment

if __name__ == "__main__":
    main()
