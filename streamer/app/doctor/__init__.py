"""Looking for what would stop Valaro on this machine.

result: what a check is, and what it finds · runner: all checks, side by side · software: Valaro's own parts ·
machine: what is around them
"""
