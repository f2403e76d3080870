"""The cold half of transports."""

from __future__ import annotations
