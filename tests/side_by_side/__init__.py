"""Python Keystone and Archstone at work on one database and one key repository."""
