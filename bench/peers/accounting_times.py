"""Fastest of three: processor milliseconds of dp_accounting's PLD epsilon. python accounting_times.py SIGMA Q T DELTA"""
import sys
import time

from dp_accounting import dp_event
from dp_accounting.pld import pld_privacy_accountant

sigma, q, steps, delta = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
event = dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(sigma))
best = float("inf")
for _ in range(3):
    start = time.process_time()
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-4)
    accountant.compose(event, steps)
    accountant.get_epsilon(delta)
    best = min(best, time.process_time() - start)
print(best * 1000)
