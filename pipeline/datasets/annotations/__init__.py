"""What formats of annotated images share, before and after a picture is read.

Owns the `recognition` of a folder's layout, the `classes` that labels mean, the `boxes` and the
`defect_mask` of an image, the `originals` of augmented copies and safe `xml`. May call `listings`,
`location`, `imaging` and `contracts`.
"""
