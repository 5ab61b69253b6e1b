from typing import Any

VERSION: int

def __getattr__(name: str) -> Any: ...
