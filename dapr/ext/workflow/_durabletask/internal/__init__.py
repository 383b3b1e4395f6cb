"""The generated stubs of the wire contract, and the helpers around them."""
