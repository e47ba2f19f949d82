"""What the operator wants: one document for every desk."""

from ._native.policy import Policy

__all__ = ["Policy"]
