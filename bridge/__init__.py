"""From pub/sub to the tick stream."""
