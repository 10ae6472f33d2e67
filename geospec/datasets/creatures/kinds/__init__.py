"""The kinds of creatures, one file each."""
