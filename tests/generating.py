"""How much hypothesis tries: enough to find a fault, little enough to run with every change."""

from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code: no deadline, and slow generation is let pass.
few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
