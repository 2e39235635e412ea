// Kendall's tau_b of two columns over the chosen trials: the same numbers as analysis.statistics.kendall_tau.

/** Pairs tied in either column are left out of the denominator; trials without a finite value count as missing. */
function kendallTau(x, y, chosen) {
  const index = chosen.filter((trial) => Number.isFinite(x[trial]) && Number.isFinite(y[trial]));
  let agreement = 0, untiedX = 0, untiedY = 0;
  for (let i = 1; i < index.length; i++) {
    const a = x[index[i]], b = y[index[i]];
    for (let j = 0; j < i; j++) {
      const c = x[index[j]], d = y[index[j]], s = a > c ? 1 : a < c ? -1 : 0, t = b > d ? 1 : b < d ? -1 : 0;
      agreement += s * t;
      untiedX += s * s;
      untiedY += t * t;
    }
  }
  const tau = agreement / (Math.sqrt(untiedX) * Math.sqrt(untiedY));
  return { tau: Number.isFinite(tau) ? tau : null, n: index.length };
}

const signed = (value) => value === null || value === undefined ? "–" : (value < -0.005 ? "−" : "+") + Math.abs(value).toFixed(2);
const digits = (value) => typeof value !== "number" ? String(value ?? "–") : plainDigits(value).replace(/^-/, "−");
const plainDigits = (value) => value === 0 ? "0" : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2).replace(/\.?0+e/, "e");
