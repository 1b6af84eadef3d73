"""Other programs that take the objects in Backstay's place."""
