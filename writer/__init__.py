"""From the tick stream to PostgreSQL."""
