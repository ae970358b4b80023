"""Writes the generated pages of the documentation."""

from tests.reference import write

if __name__ == "__main__":
    for page in write():
        print(page)
