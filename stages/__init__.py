"""Everything about video: one folder for each stage kind, and what they share in ``video`` and ``nn``."""
