"""What a data folder can do to us. Every text names the file and says what is wrong with it."""


class DataError(ValueError):
    """A label file, an image or a mask cannot be used."""
