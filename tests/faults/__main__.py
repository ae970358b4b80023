"""`make faults`."""

from tests.rows import main

if __name__ == "__main__":
    main("faults")
