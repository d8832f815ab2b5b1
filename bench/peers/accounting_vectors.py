"""Random test vectors for the accountant: python accounting_vectors.py SEED COUNT > FILE.json

pldEpsilon is dp_accounting's own value (PLD, connect-the-dots, grid 1e-4). cleanEpsilon is the same construction with
bucket masses by quadrature and a tilted Fourier transform, all in 80-bit floating point: free of the rounding noise
that dp_accounting's double-precision transform leaves in delta (about T * 1e-16).
"""
import json
import math
import sys
import time
from importlib.metadata import version

import numpy as np
import scipy.fft
from dp_accounting import dp_event
from dp_accounting.pld import pld_privacy_accountant

LD = np.longdouble
H = LD("1e-4")
REACH = 13
NODES = [(LD(x), LD(w)) for x, w in zip(*np.polynomial.legendre.leggauss(12))]


def loss(x, sigma, q):
    l = (2 * x - 1) / (2 * sigma * sigma)
    return np.where(l > 30, l + np.log(q) + np.log1p((1 - q) / q * np.exp(-np.maximum(l, 0))), np.log1p(q * np.expm1(np.minimum(l, 31))))


def step(sigma, q):
    """Masses under P = (1-q)N(0,s^2)+qN(1,s^2) of the losses (low+k)*H, both ends of every bucket kept exact."""
    sigma, q = LD(sigma), LD(q)
    low = int(np.floor(loss(-REACH * sigma, sigma, q) / H))
    high = int(np.ceil(loss(1 + REACH * sigma, sigma, q) / H))
    eps = np.arange(low, high + 1).astype(LD) * H
    gain = np.expm1(eps) + q
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(gain > 0, sigma * sigma * np.log(np.maximum(gain, 0) / q) + LD(0.5), -REACH * sigma)
    x = np.clip(x, -REACH * sigma, 1 + REACH * sigma)
    masses = np.zeros(len(eps), dtype=LD)
    scale = 1 / (sigma * np.sqrt(2 * LD(math.pi)))
    widest = float(np.max(np.diff(x)) / sigma)
    panels = max(1, int(math.ceil(widest / 0.5)))
    up = np.zeros(len(eps) - 1, dtype=LD)
    down = np.zeros(len(eps) - 1, dtype=LD)
    half = (x[1:] - x[:-1]) / (2 * panels)
    for p in range(panels):
        middle = x[:-1] + (2 * p + 1) * half
        for node, weight in NODES:
            at = middle + node * half
            density = np.exp(-at * at / (2 * sigma * sigma)) * scale
            # r - r_i with r = 1 - q + q e^l: differences of e^l, formed from the nearer edge.
            l = (2 * at - 1) / (2 * sigma * sigma)
            r = np.expm1(loss(at, sigma, q) - eps[:-1]) * np.exp(eps[:-1])
            s = -np.expm1(loss(at, sigma, q) - eps[1:]) * np.exp(eps[1:])
            up += weight * half * density * np.maximum(r, 0)
            down += weight * half * density * np.maximum(s, 0)
    share = -np.expm1(-H)
    masses[1:] += up / share
    masses[:-1] += down / share * np.exp(-H)
    mirrored = (masses * np.exp(-eps))[::-1]
    return (low, masses), (-high, mirrored)


def cumulant(low, masses, theta, kind=LD):
    masses = masses.astype(kind)
    at = (low + np.arange(len(masses))).astype(kind) * kind(H * theta)
    top = at[masses > 0].max()
    total = np.sum(masses * np.exp(at - top))
    return top + np.log(total)


def epsilon_of(low, masses, steps, delta):
    """Least eps with delta(eps) <= delta, by the tilted distribution of the total."""
    best = None
    for theta in np.exp(np.linspace(math.log(0.02), math.log(2000), 40)):
        bound = (steps * cumulant(low, masses, theta, np.float64) - math.log(delta) + theta * math.log(theta) - (theta + 1) * math.log1p(theta)) / theta
        if best is None or bound < best[0]:
            best = (bound, theta)
    for theta in (best[1], best[1] / 2, best[1] / 4, LD(0)):
        k = cumulant(low, masses, theta) if theta > 0 else np.log(np.sum(masses))
        top = min((steps * (cumulant(low, masses, theta + d, np.float64) - k) + 65) / d for d in np.exp(np.linspace(-4, 6, 15)))
        bottom = max((-steps * (cumulant(low, masses, theta - d, np.float64) - k) - 65) / d for d in np.exp(np.linspace(-4, 6, 15)))
        first, last = int(np.floor(bottom / H)), int(np.ceil(top / H))
        if last * H > best[0] and last - first < 6e6:
            break
    else:
        return None
    size = scipy.fft.next_fast_len(max(last - first + 2, 1024))
    tilted = masses * np.exp((low + np.arange(len(masses))).astype(LD) * H * theta - k)
    circle = np.zeros(size, dtype=LD)
    np.add.at(circle, (low + np.arange(len(masses))) % size, tilted)
    spectrum = scipy.fft.rfft(circle)
    power = np.ones_like(spectrum)
    base, n = spectrum.copy(), steps
    while n:
        if n & 1:
            power = power * base
        base = base * base
        n >>= 1
    total = np.maximum(scipy.fft.irfft(power, size), 0)
    total = np.roll(total, -(first % size))
    s = (first + np.arange(size)).astype(LD) * H
    mass = np.exp(steps * k - theta * (s - best[0]) - theta * best[0]) * total
    weights = np.cumsum(mass[::-1])[::-1]
    discounted = np.cumsum((mass * np.exp(-(s - best[0])))[::-1])[::-1]
    # delta just below each atom's own place: sum over s_j >= s_i of m_j (1 - e^{eps - s_j}).
    deltas = weights - np.exp(s - best[0]) * discounted
    over = np.nonzero(deltas > delta)[0]
    i = over[-1] + 1 if len(over) else 0
    if i == 0 and s[0] > 0:
        return None
    eps = best[0] + np.log((weights[i] - delta) / discounted[i]) if weights[i] > delta else LD(0)
    return max(float(min(max(eps, s[i] - H), s[i])), 0.0), float(best[1])


def row(sigma, q, steps, delta):
    both = step(sigma, q)
    ends = [epsilon_of(low, masses, steps, delta) for low, masses in both]
    if any(e is None for e in ends):
        return None
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-4)
    event = dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(sigma))
    start = time.time()
    accountant.compose(event, steps)
    google = float(accountant.get_epsilon(delta))
    seconds = time.time() - start
    clean, theta = max(ends)
    # A double-precision transform leaves about steps * 4e-15 in delta at worst, and d eps = d delta / (delta * theta).
    blur = steps * 4e-15 / delta / theta
    return {
        "noiseMultiplier": sigma, "samplingRate": q, "steps": steps, "delta": delta,
        "pldEpsilon": google, "cleanEpsilon": clean, "epsilonTolerance": 1e-6,
        "pldMayBeOffBy": float(f"{blur:.2g}"), "pldSeconds": round(seconds, 2), "pldDeltas": [],
    }


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    rng = np.random.default_rng(seed)
    draw = lambda a, b: math.exp(rng.uniform(math.log(a), math.log(b)))
    rows = []
    while len(rows) < count:
        sigma, q = float(f"{draw(0.3, 50):.4g}"), float(f"{draw(1e-4, 1):.4g}")
        steps, delta = int(round(draw(1, 1e5))), float(f"{draw(1e-12, 1e-3):.3g}")
        if steps < 2 or q * q * steps * math.expm1(min(1 / sigma**2, 50)) > 400:
            continue
        result = row(sigma, q, steps, delta)
        print(json.dumps(result), file=sys.stderr, flush=True)
        if result is not None:
            rows.append(result)
    tools = ", ".join(f"{p} {version(p)}" for p in ("dp-accounting", "numpy", "scipy"))
    command = f"python bench/peers/accounting_vectors.py {seed} {count}"
    print(json.dumps({"source": f"{command}; {tools}. pldEpsilon: dp_accounting itself; cleanEpsilon: the same grid and construction in 80-bit floating point with a tilted transform, see the script.", "poisson": rows}, indent=1))


main()
