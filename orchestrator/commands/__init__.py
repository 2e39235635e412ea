"""The commands of `renyi`: a function each, in a file for what they are about. Each parses, calls and prints."""
