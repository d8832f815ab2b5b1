"""Reference values for the one-run audit: python audit_vectors.py > test/vectors/audit.json

The bound of Steinke, Nasr, Jagielski, "Privacy Auditing with One (1) Training Run" (NeurIPS 2023, arXiv:2305.08846),
Theorem 5.2 in the form of Appendix D, computed with scipy's binomial distribution: with q = 1/(1 + e^-eps),
p = P[Bin(r, q) >= v] + 2 m delta max_{1<=i<=v} P[v - i <= Bin(r, q) < v] / i, and the largest eps with p < 1 - confidence.
"""
import json
from math import exp

import scipy
from scipy.stats import binom


def p_value(m, r, v, eps, delta):
    q = 1 / (1 + exp(-eps))
    steepest = max(((binom.cdf(v - 1, r, q) - binom.cdf(v - i - 1, r, q)) / i for i in range(1, v + 1)), default=0)
    return min(1, binom.sf(v - 1, r, q) + 2 * m * delta * steepest)


def largest_eps(m, r, v, delta, confidence):
    if p_value(m, r, v, 0, delta) >= 1 - confidence:
        return 0.0
    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(m, r, v, middle, delta) < 1 - confidence else (low, middle)
    return low


rows = []
for m, r, v, delta, confidence in [
    (1000, 1000, 600, 0, 0.95), (1000, 1000, 600, 1e-5, 0.95), (1000, 100, 99, 1e-5, 0.95), (1000, 100, 100, 1e-6, 0.99),
    (1024, 1024, 1024, 1e-5, 0.95), (1024, 512, 400, 1e-5, 0.95), (1024, 200, 150, 1e-4, 0.9), (10000, 1500, 1429, 1e-5, 0.95),
    (100000, 1500, 1429, 1e-5, 0.95), (200, 20, 17, 1e-3, 0.95), (64, 64, 40, 1e-5, 0.95), (50, 10, 10, 0, 0.95),
    (1000, 1000, 510, 1e-5, 0.95), (5000, 5000, 4990, 1e-7, 0.999),
]:
    rows.append({"canaries": m, "guesses": r, "correct": v, "delta": delta, "confidence": confidence,
                 "epsilonLowerBound": largest_eps(m, r, v, delta, confidence),
                 "pValueAtEpsilon1": p_value(m, r, v, 1.0, delta)})
source = f"python bench/peers/audit_vectors.py; scipy {scipy.__version__}. Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846), Theorem 5.2 and Appendix D."
print(json.dumps({"source": source, "rows": rows}, indent=1))
