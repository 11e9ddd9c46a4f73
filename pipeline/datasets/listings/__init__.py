"""Lists of images, before a picture is read.

Owns the `listing` that an adapter returns, and what adapters share to make one: the `finder` of
files that a list names and the `policy` for images that it does not name; also the check that good
parts can be known (`passing`). May call `location` and `contracts`.
"""
