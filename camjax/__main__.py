"""`python -m camjax`: the command line."""

from camjax.cli import main

if __name__ == "__main__":
    main()
