"""What the library costs, each number beside the barest code that does the same: `nox -s bench`."""
