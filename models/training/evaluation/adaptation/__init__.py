"""What adapting to a listener is worth.

- ``curves``: Errors over the number of ratings.
- ``methods``: The ways to adapt that are compared.
- ``panels``: Listeners to adapt to: real and simulated.
"""
