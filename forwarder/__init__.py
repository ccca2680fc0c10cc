"""From the tick stream to Centrifugo."""
