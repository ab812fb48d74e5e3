import os

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras
