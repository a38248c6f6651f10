"""Furnished rooms, laid out by rules and path-traced: photos, depth and classes of the same view.

`furniture` knows the models, `layout` puts them into a room, `materials` paints them, `render` makes the images.
"""
