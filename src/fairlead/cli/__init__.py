"""Words: parse, call one function, print, exit code. The only package that prints."""
