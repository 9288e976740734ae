/* The engine of the calculator and of the class in the browser: every formula, in seconds and examples, and the fits.
   A classic script: it asks for no file, so that it also works from file:// and offline. Tests hold it against the
   package. */
"use strict";
window.batchtimeModel = (() => {
  // A setting s: n_inf, alpha, delta, gamma, p, and the network: shape, latency, bandwidth, payload; of a law over
  // learning rates also pole, the batch size at which training never gets there, and whether it is reached as a logarithm.
  const join = (a, b, p) => {
    const [low, high] = a < b ? [a, b] : [b, a];
    return p === 1 ? a + b : high === 0 || p === Infinity ? high : high * (1 + (low / high) ** p) ** (1 / p);
  };
  const model = {
    updates: (s, M) =>
      !s.pole || !s.alpha
        ? s.n_inf + s.alpha / M
        : M <= s.pole
          ? Infinity
          : s.n_inf + (s.logarithm ? (-s.alpha / s.pole) * Math.log1p(-s.pole / M) : s.alpha / (M - s.pole)),
    updateSeconds: (s, M) => join(s.delta, s.gamma * M, s.p),
    seconds: (s, M) => model.updates(s, M) * model.updateSeconds(s, M),
    critical: (s) => (s.n_inf > 0 ? s.alpha / s.n_inf : Infinity),
    breakEven: (s) => (s.gamma > 0 ? s.delta / s.gamma : Infinity),
    weight: (s) => 1 / (1 + s.p), // of the algorithm's batch size in the logarithm of the optimum
    // The law at a learning rate, by one curve for all of them: what it makes of n_inf, alpha and the pole.
    atRate: ({ A, alpha, pole, lift, largest, form }, rate) => {
      const factor = 1 + (lift - 1) * (rate / largest) ** 2;
      return {
        n_inf: (factor * A) / rate,
        alpha: factor * alpha,
        pole: pole === null ? 0 : rate / pole,
        logarithm: form === "logarithm",
      };
    },
    optimum(s) {
      if (s.pole > 0 && s.alpha > 0) return abovePole(s);
      const falls = s.alpha * s.delta,
        grows = s.n_inf * s.gamma;
      if (falls === 0 || grows === 0) return falls === grows ? 1 : grows === 0 ? Infinity : 0;
      if (s.p === 1) return Math.sqrt(falls / grows);
      const w = model.weight(s);
      return Math.exp(w * Math.log(model.critical(s)) + (1 - w) * Math.log(model.breakEven(s)));
    },
    least(s) {
      const waiting = s.n_inf * s.delta,
        working = s.alpha * s.gamma,
        best = model.optimum(s);
      if (s.pole > 0) return model.seconds(s, Math.min(best, 1e15));
      if (s.p === 1) return (Math.sqrt(waiting) + Math.sqrt(working)) ** 2;
      return best > 0 && best < Infinity ? model.seconds(s, best) : join(waiting, working, Math.min(s.p, 1));
    },
    within(s, excess) {
      // the batch sizes between which T is at most (1 + excess) times the least
      const falls = s.alpha * s.delta,
        grows = s.n_inf * s.gamma;
      if (s.p === 1 && !s.pole) {
        const half = Math.sqrt(grows * falls) + (excess * model.least(s)) / 2;
        const larger = half + Math.sqrt(Math.max(half * half - grows * falls, 0));
        return [falls === 0 ? 0 : larger > 0 ? falls / larger : Infinity, grows > 0 ? larger / grows : Infinity];
      }
      const best = model.optimum(s),
        most = (1 + excess) * model.least(s);
      const end = (sign) => {
        const inside = (far) => model.seconds(s, best * Math.exp(sign * far)) <= most;
        let far = 1;
        while (far < 500 && inside(far)) far *= 2;
        return best * Math.exp(sign * bisect(inside, 0, far));
      };
      return [falls > 0 ? end(-1) : 0, grows > 0 ? end(1) : Infinity];
    },
    noiseShare(s) {
      // per cent by which the least time falls where alpha (without a pole also: gamma) falls by one
      if (s.pole > 0) return 1 - s.n_inf / model.updates(s, Math.min(model.optimum(s), 1e15));
      const u = ((s.alpha * s.gamma) / (s.n_inf * s.delta)) ** (1 - model.weight(s));
      return s.n_inf * s.delta === 0 || u === Infinity ? 1 : u / (1 + u);
    },
    allReduce(s, L) {
      const message = s.latency,
        bytes = s.payload / s.bandwidth,
        steps = 2 * (L - 1);
      if (s.shape === "tree") return 2 * Math.log2(L) * (message + bytes);
      return s.shape === "ring" ? steps * message + (steps / L) * bytes : 0;
    },
    withLearners: (s, L) => ({ ...s, gamma: s.gamma / L, delta: s.delta + model.allReduce(s, L) }),
    strong: (s, L) => model.seconds(model.withLearners(s, L), model.optimum(s)),
    weak: (s, L) => model.seconds(model.withLearners(s, L), L * model.optimum(s)),
    optimal: (s, L) => model.least(model.withLearners(s, L)),
    useful(s) {
      // learners beyond which twice as many save less than 5 %
      let L = 1;
      while (L < 2 ** 20 && model.optimal(s, 2 * L) <= 0.95 * model.optimal(s, L)) L *= 2;
      return L;
    },

    /* The line of least relative squares through the median seconds of each batch size, both terms at least 0. */
    fitSeconds(timings) {
      const sizes = [...new Set(timings.map(([M]) => M))].sort((a, b) => a - b);
      const rows = sizes.map((M) => {
        const all = timings.filter((one) => one[0] === M).map(([, t]) => t).sort((a, b) => a - b),
          half = (all.length - 1) / 2,
          median = (all[Math.floor(half)] + all[Math.ceil(half)]) / 2;
        return [1 / median, M / median];
      });
      const [x, y, xx, xy, yy] = [([a]) => a, ([, b]) => b, ([a]) => a * a, ([a, b]) => a * b, ([, b]) => b * b].map((term) =>
        total(rows, term),
      );
      const size = xx * yy - xy * xy,
        [delta, gamma] = size > 0 ? [(yy * x - xy * y) / size, (xx * y - xy * x) / size] : [x / xx, 0];
      return {
        sizes,
        ...(delta < 0 ? { delta: 0, gamma: y / yy } : gamma < 0 ? { delta: x / xx, gamma: 0 } : { delta, gamma }),
      };
    },

    /* The most likely law of exact counts: log N is Normal(log(n_inf + alpha / M) - v / 2, v), so that the law is the mean.
       In units where log N is about 0 and x = unit / M about 1, the law is scale (w(-z) + w(z) x), with
       w(z) = 1 / (1 + exp(-z)) and alpha / n_inf = unit exp(z). At any z the best v is the variance of
       log N - log(w(-z) + w(z) x), so that only z is searched for. runs: pairs of batch size and updates.
       Intervals: where twice the fall of the profile log-likelihood stays below the package's cutoff; null: open. */
    fit(runs) {
      const sizes = [...new Set(runs.map(([M]) => M))].sort((a, b) => a - b),
        n = runs.length,
        k = sizes.length;
      const unit = Math.sqrt(sizes[0]) * Math.sqrt(sizes[k - 1]);
      const level = total(runs, ([, N]) => Math.log(N)) / n;
      const groups = sizes.map((M) => {
        const logs = runs.filter((run) => run[0] === M).map(([, N]) => Math.log(N) - level);
        const mean = total(logs, (y) => y) / logs.length;
        return { x: unit / M, n: logs.length, mean, squares: total(logs, (y) => (y - mean) ** 2) };
      });
      const pure = total(groups, (g) => g.squares);
      const bounded = (v) => Math.min(Math.max(v, LEAST_SPREAD ** 2), 9);
      const likelihood = (v, squares, sum) => -(squares / v + sum + (n * v) / 4 + n * Math.log(v)) / 2;
      const aboutMean = (squares, v = bounded(squares / n)) => likelihood(v, squares + (n * v * v) / 4, (-n * v) / 2);
      const residuals = (a, b) => {
        const off = groups.map((g) => g.mean - Math.log(a + b * g.x));
        const mean = total(off, (r, j) => groups[j].n * r) / n;
        return { mean, squares: pure + total(off, (r, j) => groups[j].n * (r - mean) ** 2) };
      };
      const ofRatio = (z) => aboutMean(residuals(w(-z), w(z)).squares);
      const ofLaw = (a, b) => {
        const { mean, squares } = residuals(a, b),
          all = squares + n * mean * mean;
        return a + b > 0 ? likelihood(bounded(2 * (Math.sqrt(1 + all / n) - 1)), all, n * mean) : -Infinity;
      };

      const z = [batchtimeAdvice.highest(ofRatio, -30, 30), -Infinity, Infinity].reduce((a, b) => (ofRatio(b) > ofRatio(a) ? b : a));
      const top = ofRatio(z),
        best = residuals(w(-z), w(z)),
        v = bounded(best.squares / n);
      const scale = Math.exp(best.mean + v / 2),
        a = scale * w(-z),
        b = scale * w(z),
        updates = Math.exp(level);
      const known = n > 2 && Math.sqrt(v) > 1.01 * LEAST_SPREAD && Math.sqrt(v) < 2;

      let cutoff = n * Math.log1p(fPoint(n - 2) / (n - 2)),
        lackOfFit = null;
      if (k > 2 && n > k) {
        // batch sizes off the law by more than their runs scatter widen the intervals
        const deviance = Math.min(Math.max(0, 2 * (aboutMean(pure) - top)) / n, 500);
        lackOfFit = fTail((Math.expm1(deviance) * (n - k)) / (k - 2), k - 2, n - k);
        if (lackOfFit < 0.01)
          cutoff = Math.max(cutoff, n * Math.log1p((-fPoint(k - 2) * Math.expm1(-deviance)) / (k - 2)));
      }
      const ends = (profile, estimate, least, most) => {
        const inside = (at) => 2 * (top - profile(at)) < cutoff;
        return [least, most].map((end) => (!known || inside(end) ? null : bisect(inside, estimate, end)));
      };
      const finite = (at) => Math.min(Math.max(at, -60), 60);
      const critical = ends((at) => ofRatio(Math.abs(at) < 60 ? at : at * Infinity), finite(z), -60, 60);
      const over = (law) => Math.max(law(0), law(Math.exp(batchtimeAdvice.highest((u) => law(Math.exp(u)), -30, 30))));
      return {
        n_inf: a * updates,
        alpha: b * updates * unit,
        critical: unit * Math.exp(z),
        runs: n,
        sizes,
        lackOfFit,
        spread: Math.sqrt((v * n) / Math.max(n - 2, 1)),
        intervals: {
          n_inf: ends((at) => over((other) => ofLaw(at, other)), a, 0, 1e9).map((end) => end && end * updates),
          alpha: ends((at) => over((other) => ofLaw(other, at)), b, 0, 1e9).map((end) => end && end * updates * unit),
          critical: critical.map((end) => (end === null ? null : unit * Math.exp(end))),
        },
      };
    },
  };

  let kept = {};
  function abovePole(s) {
    // where training time is least: in closed form for lines, else by golden sections in the logarithm of the distance
    // from the pole, and kept until another law is asked for
    if (s.p === 1 && !s.logarithm && s.n_inf * s.gamma > 0)
      return s.pole + Math.sqrt((s.alpha * (s.delta + s.gamma * s.pole)) / (s.n_inf * s.gamma));
    const key = [s.n_inf, s.alpha, s.pole, s.logarithm, s.delta, s.gamma, s.p].join();
    if (key === kept.key) return kept.best;
    const at = (z) => model.seconds(s, s.pole + Math.exp(z)),
      z = batchtimeAdvice.highest((one) => -Math.log(at(one)), Math.log(s.pole) - 12, Math.log(s.pole) + 34);
    kept = { key, best: s.pole + Math.exp(z) };
    return kept.best;
  }
  const LEAST_SPREAD = 1e-7;
  const w = (z) => 1 / (1 + Math.exp(-z));
  const total = (list, value) => list.reduce((sum, item, j) => sum + value(item, j), 0);
  function bisect(inside, near, far) {
    // the last place inside, between one that is and one that is not
    for (let step = 0; step < 100; step++) {
      const middle = (near + far) / 2;
      if (inside(middle)) near = middle;
      else far = middle;
    }
    return near;
  }
  const logGamma = (twice) => {
    // of half a whole number
    let sum = twice % 2 ? Math.log(Math.PI) / 2 : 0;
    for (let rest = twice - 2; rest > 0; rest -= 2) sum += Math.log(rest / 2);
    return sum;
  };
  function beta(z, d, e) {
    // the regularised incomplete beta function of d / 2 and e / 2: Lentz's continued fraction
    if (z > (d + 2) / (d + e + 4)) return 1 - beta(1 - z, e, d);
    const a = d / 2,
      b = e / 2;
    let c = 1,
      f = 1,
      D = 0;
    for (let j = 0, change = 0; j < 1e4 && Math.abs(change - 1) > 1e-15; j++) {
      const m = Math.floor(j / 2);
      const term =
        j === 0
          ? 1
          : j % 2
            ? (-(a + m) * (a + b + m) * z) / ((a + 2 * m) * (a + 2 * m + 1))
            : (m * (b - m) * z) / ((a + 2 * m - 1) * (a + 2 * m));
      D = 1 / (1 + term * D);
      c = 1 + term / c;
      change = c * D;
      f *= change;
    }
    const front = a * Math.log(z) + b * Math.log1p(-z) + logGamma(d + e) - logGamma(d) - logGamma(e);
    return (Math.exp(front) * (f - 1)) / a;
  }
  const fTail = (x, d, e) => beta(e / (e + d * x), e, d); // probability that F(d, e) exceeds x
  const fPoint = (e) => {
    // what F(1, e) exceeds with 5 %: the square of the two-sided t point
    const z = bisect((at) => beta(at, e, 1) < 0.05, 0, 1);
    return (e * (1 - z)) / z;
  };
  return model;
})();
