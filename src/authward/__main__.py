"""`python -m authward` is `authward`."""

from authward.cli import main

if __name__ == "__main__":
    main(prog_name="python -m authward")
