"""What is special, in a minute: `make demo`. See `examples.demo.__main__`."""
