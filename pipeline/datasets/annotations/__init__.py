"""What formats of annotated images share, before a picture is read.

Owns the `recognition` of a folder's layout. May call `listings` and `location`.
"""
