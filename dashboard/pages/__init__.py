"""Pages composed of several apps: home, system, activity."""
