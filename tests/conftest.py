"""What every test shares."""

from hypothesis import settings

pytest_plugins = ["tests._ci_plugin"]

settings.register_profile("house", deadline=None)  # tests assert no times
settings.load_profile("house")
