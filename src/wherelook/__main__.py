"""`python -m wherelook`."""

from wherelook.cli import main

if __name__ == "__main__":
    main()
