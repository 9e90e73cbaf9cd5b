"""What happened, and what may be read after it. Never looks into a stack."""
