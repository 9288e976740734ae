/* The advice of `batchtime recommend` for exact counts and one learner, draw for draw: laws and seconds that the tables
   allow, from the same fixed numbers, and the batch size whose 95 % worst loss is least. A classic script, as
   calculator.js is; a test holds it against the package. Names are those of fit/law_draws.py and fit/seconds.py. */
"use strict";
const batchtimeAdvice = (() => {
  const DRAWS = 2000,
    TYPICAL_SCATTER = 0.054,
    SCATTER_FACTOR = 0.63,
    SCATTERS = [-1.5, -0.5, 0.5, 1.5, 2.5],
    MISFITS = [0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.25, 0.4, 0.7],
    TYPICAL_MISFIT = 0.055,
    MISFIT_FACTOR = 0.6,
    ROUGH = 0.25,
    KNOTS = Math.log(2),
    POLES = [0, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98],
    POLE_SIZES = 3,
    RATIOS = 160,
    LEAST_SPREAD = 1e-7,
    LARGEST_SPREAD = 3,
    LEAST_ERROR = 0.02,
    BEND = 0.05,
    POWERS = [1, 1.5, 2, 4, 8, Infinity],
    BREAK_EVENS = 120,
    WIDEST = 100,
    BETWEEN = 60,
    REACH = 2,
    LEVEL = 0.95,
    AS_GOOD = 0.003,
    LIMIT = 0.15;
  const sum = (list, value) => list.reduce((all, item, j) => all + value(item, j), 0);
  const range = (count) => Array.from({ length: count }, (_, j) => j);
  const between = (low, high, count) =>
    range(count).map((j) => Math.exp(Math.log(low) + (j / (count - 1)) * Math.log(high / low)));
  const distinct = (list) => [...new Set(list)].sort((a, b) => a - b);
  const addExp = (a, b) => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
  const cumulated = (list) => {
    let all = 0;
    return list.map((value) => (all += value));
  };
  const place = (levels, u) => {
    const found = levels.findIndex((level) => level >= u);
    return found < 0 ? levels.length - 1 : found;
  };
  const even = (value) => {
    const low = Math.floor(value),
      rest = value - low;
    return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
  };
  const quantile = (sorted, at) => {
    const where = at * (sorted.length - 1),
      low = Math.floor(where);
    return sorted[low] + (where - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
  };

  function normal(p) {
    // the normal quantile: Wichura's AS 241, to 16 digits
    const poly = (list, x) => list.reduceRight((all, c) => all * x + c, 0);
    const q = p - 0.5;
    if (Math.abs(q) <= 0.425) {
      const r = 0.180625 - q * q;
      const top = [
          3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
          45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
        ],
        bottom = [
          1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
          39307.89580009271061, 28729.085735721942674, 5226.495278852545925,
        ];
      return (q * poly(top, r)) / poly(bottom, r);
    }
    const r = Math.sqrt(-Math.log(Math.min(p, 1 - p)));
    const [top, bottom, x] =
      r <= 5
        ? [
            [
              1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
              1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4,
            ],
            [
              1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
              0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9,
            ],
            r - 1.6,
          ]
        : [
            [
              6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
              0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
            ],
            [
              1, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525, 7.868691311456132591e-4,
              1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15,
            ],
            r - 5,
          ];
    return (Math.sign(q) * poly(top, x)) / poly(bottom, x);
  }

  function quasiRandom(dimensions) {
    // (DRAWS, dimensions): the fractional parts of n sqrt(p)
    const primes = [];
    for (let k = 2; primes.length < dimensions; k++) if (primes.every((p) => k % p)) primes.push(k);
    const roots = primes.map(Math.sqrt);
    return range(DRAWS).map((n) =>
      roots.map((root) => Math.min(Math.max(((n + 1) * root) % 1, 1e-9), 1 - 1e-9)),
    );
  }

  function inverse(matrix) {
    // of a symmetric positive one, with the logarithm of its determinant
    const n = matrix.length,
      rows = matrix.map((row, i) => [...row, ...range(n).map((j) => +(i === j))]);
    let log = 0;
    for (let i = 0; i < n; i++) {
      const pivot = rows[i][i];
      log += Math.log(pivot);
      for (let c = 0; c < 2 * n; c++) rows[i][c] /= pivot;
      for (let j = 0; j < n; j++) {
        const factor = rows[j][i];
        if (j !== i && factor) for (let c = 0; c < 2 * n; c++) rows[j][c] -= factor * rows[i][c];
      }
    }
    return [rows.map((row) => row.slice(n)), log];
  }

  // Means of the runs, with spreads that fall with the batch size
  function groupsOf(runs) {
    return distinct(runs.map(([M]) => M)).map((M) => {
      const logs = runs.filter((run) => run[0] === M).map(([, N]) => Math.log(N)),
        mean = sum(logs, (y) => y) / logs.length;
      return { M, n: logs.length, mean, squares: sum(logs, (y) => (y - mean) ** 2) };
    });
  }
  const centred = (groups, variances) => {
    const n = sum(groups, (g) => g.n),
      average = sum(groups, (g, k) => g.n * variances[k]) / n;
    return variances.map((v) => Math.log(v / average) / 2);
  };
  /* The most likely variance v of log N, the spread at size k being sqrt(v) exp(relative_k), and its log-likelihood, from
     the weighted sums of squares of log N about the law, of half the relative variances, and of their product. */
  function peak(n, aa, ab, bb, constant) {
    const free = bb > 0 ? (2 * aa) / (n + Math.sqrt(n * n + 4 * bb * aa)) : aa / n;
    const v = Math.min(Math.max(free, LEAST_SPREAD ** 2), LARGEST_SPREAD ** 2);
    return { v, value: -(aa / v + 2 * ab + v * bb + n * Math.log(v)) / 2 - constant };
  }
  function ofMeans(groups, relative) {
    const n = sum(groups, (g) => g.n);
    return peak(n, sum(groups, (g, k) => g.squares * Math.exp(-2 * relative[k])), 0, 0, sum(groups, (g, k) => g.n * relative[k]));
  }
  /* The same of a law (n_inf, alpha) known but for a factor, if `free`. */
  function ofLaw(groups, relative, law, free) {
    const n = sum(groups, (g) => g.n),
      weight = groups.map((g, k) => g.n * Math.exp(-2 * relative[k])),
      all = sum(weight, (w) => w);
    let a = groups.map((g) => g.mean - Math.log(law(g.M))),
      b = relative.map((r) => Math.exp(2 * r) / 2);
    const shift = [sum(a, (x, k) => weight[k] * x) / all, sum(b, (x, k) => weight[k] * x) / all];
    if (free) [a, b] = [a.map((x) => x - shift[0]), b.map((x) => x - shift[1])];
    const dot = (x, y) => sum(x, (value, k) => weight[k] * value * y[k]);
    const pure = sum(groups, (g, k) => g.squares * Math.exp(-2 * relative[k]));
    const found = peak(n, pure + dot(a, a), dot(a, b), dot(b, b), sum(groups, (g, k) => g.n * relative[k]));
    return { ...found, factor: Math.exp(shift[0] + found.v * shift[1]) };
  }
  function highest(f, low, high) {
    // where f is largest: the best of 120 places, then golden sections around it
    const step = (high - low) / 120,
      places = range(121).map((j) => low + j * step),
      best = places.reduce((a, b) => (f(b) > f(a) ? b : a)),
      golden = (Math.sqrt(5) - 1) / 2;
    let [left, right] = [best - step, best + step];
    while (right - left > 1e-9) {
      const width = golden * (right - left);
      if (f(right - width) > f(left + width)) right = left + width;
      else left = right - width;
    }
    return (left + right) / 2;
  }
  const lawAt = (unit, z) => (M) => 1 / (1 + Math.exp(z)) + (1 / (1 + Math.exp(-z))) * (unit / M);
  function mostLikelyLaw(groups, relative) {
    const unit = Math.sqrt(groups[0].M * groups.at(-1).M),
      value = (z) => ofLaw(groups, relative, lawAt(unit, z), true).value;
    const z = [highest(value, -30, 30), -Infinity, Infinity].reduce((a, b) => (value(b) > value(a) ? b : a));
    return { z, unit, ...ofLaw(groups, relative, lawAt(unit, z), true) };
  }
  function relativeSpreads(groups) {
    const n = sum(groups, (g) => g.n),
      k = groups.length,
      shares = range(8).map((j) => 1 / (1 + Math.exp(-(-3 + 1.5 * j)))),
      tried = shares.map((q) => centred(groups, groups.map((g) => 1 - q + q * (groups[0].M / g.M) ** 2)));
    let told = shares.map(() => 0);
    if (k > 1 && n > 2) {
      const saturated = n - k >= k - 2,
        fits = tried.map((relative) => (saturated ? ofMeans : mostLikelyLaw)(groups, relative));
      if (fits.every((fit) => Math.sqrt(fit.v) > 1.01 * LEAST_SPREAD))
        told = fits.map((fit) => (fit.value * (n - (saturated ? k : 2))) / n);
    }
    const top = Math.max(...told),
      weights = shares.map((q, j) => Math.exp(told[j] - top) * q * (1 - q)),
      all = sum(weights, (w) => w),
      mean = groups.map((_, g) => sum(weights, (w, j) => w * tried[j][g]) / all);
    return centred(groups, mean.map((r) => Math.exp(2 * r)));
  }
  function meansOf(groups) {
    const relative = relativeSpreads(groups),
      { v } = ofMeans(groups, relative),
      runs = sum(groups, (g) => g.n),
      freedom = Math.max(runs - groups.length, 0),
      variance = freedom ? Math.min((v * runs) / freedom, 9) : TYPICAL_SCATTER ** 2,
      known = 1 / (2 * SCATTER_FACTOR ** 2);
    const likeliest = Math.sqrt((freedom * variance + known * TYPICAL_SCATTER ** 2) / (freedom + known));
    const scale = freedom && Math.sqrt(v) > 2 * LEAST_SPREAD ? likeliest / Math.sqrt(v) : 0;
    const spreads = relative.map((r) => v * Math.exp(2 * r)),
      logs = groups.map((g, k) => g.mean + spreads[k] / 2);
    const scattered = groups.map((g, k) => {
      const curved = Math.sqrt(spreads[k] / g.n + spreads[k] ** 2 / (2 * runs));
      return Math.max((likeliest * Math.exp(relative[k])) / Math.sqrt(g.n), Math.min(curved * scale, 3));
    });
    const width = 1 / Math.sqrt(1 / SCATTER_FACTOR ** 2 + 2 * freedom);
    const errors = SCATTERS.map((z) =>
      scattered.map((error, k) => Math.hypot(Math.exp(width * z) * error, 1 / Math.exp(logs[k]) / Math.sqrt(12))),
    );
    return { sizes: groups.map((g) => g.M), logs, errors, typical: freedom === 0 };
  }

  // Laws that the means allow
  const shape = (logRatio, pole, M) =>
    M > pole ? addExp(0, logRatio - Math.log(M - pole)) : Infinity;
  function hatsOf(knots, at) {
    // K smooth heights, then K rough ones
    return at.map((x) => {
      const [smooth, rough] = [knots.map(() => 0), knots.map(() => 0)];
      for (const first of [0, 1])
        hat(range(knots.length).filter((j) => j % 2 === first), knots, x, smooth, 1 / Math.sqrt((1 - ROUGH) * (3 / 4)));
      hat(range(knots.length), knots, x, rough, 1 / Math.sqrt(ROUGH * (3 / 2)));
      return [...smooth, ...rough];
    });
  }
  function hat(used, knots, x, found, divisor = 1) {
    // by what share the height of each used knot counts at x: straight lines between them, level beyond
    const right = used.findIndex((j) => knots[j] >= x);
    if (right <= 0) found[used[right < 0 ? used.length - 1 : 0]] += 1 / divisor;
    else {
      const [i, j] = [used[right - 1], used[right]],
        share = (x - knots[i]) / (knots[j] - knots[i]);
      found[i] += (1 - share) / divisor;
      found[j] += share / divisor;
    }
  }
  function knotsOf(sizes, at) {
    const base = Math.log(sizes[0]),
      low = Math.floor((Math.log(Math.min(...at)) - base) / KNOTS) - 1,
      high = Math.ceil((Math.log(Math.max(...at, sizes.at(-1))) - base) / KNOTS) + 1,
      from = Math.min(low, -1);
    return range(Math.max(high, 2) - from + 1).map((j) => base + KNOTS * (from + j));
  }
  const covariance = (hats, errors, tau) =>
    hats.map((a, i) => hats.map((b, j) => tau ** 2 * sum(a, (x, k) => x * b[k]) + (i === j ? errors[i] ** 2 : 0)));
  // each size of scatter with each of misfit
  const KINDS = SCATTERS.flatMap((z, s) =>
    MISFITS.map((tau) => ({ s, tau, before: -0.5 * (z ** 2 + (Math.log(tau / TYPICAL_MISFIT) / MISFIT_FACTOR) ** 2) })),
  );
  function polePrior() {
    // as likely as not there is none, else each as likely in logarithms
    const x = POLES.slice(1).map(Math.log),
      end = x.length - 1,
      steps = x.map((_, k) => (x[Math.min(k + 1, end)] - x[Math.max(k - 1, 0)]) / (k && k < end ? 2 : 1)),
      all = sum(steps, (step) => step);
    return [0.5, ...steps.map((step) => (0.5 * step) / all)];
  }
  function posterior(means) {
    const { sizes, logs, errors } = means,
      n = sizes.length,
      ratios = between(sizes[0] / 100, sizes[n - 1] * 100, RATIOS),
      several = n >= POLE_SIZES,
      poles = (several ? POLES : POLES.slice(0, 1)).map((p) => p * sizes[0]),
      prior = several ? polePrior() : [1],
      hats = hatsOf(knotsOf(sizes, sizes), sizes.map(Math.log)),
      rests = poles.map((pole) =>
        ratios.map((ratio) => sizes.map((M, k) => logs[k] - shape(Math.log(ratio), pole, M))),
      );
    const values = KINDS.map(({ s, tau, before }) => {
      const [inv, log] = inverse(covariance(hats, errors[s], tau)),
        across = inv.map((row) => sum(row, (x) => x)),
        all = sum(across, (x) => x),
        constant = before - 0.5 * (log + Math.log(all));
      return rests.map((of) =>
        of.map((rest) => {
          let level = 0,
            squares = 0;
          for (let i = 0; i < n; i++) {
            level += rest[i] * across[i];
            for (let j = 0; j < n; j++) squares += rest[i] * inv[i][j] * rest[j];
          }
          return constant - 0.5 * (squares - level ** 2 / all);
        }),
      );
    });
    const top = values.reduce((most, t) => t.reduce((a, p) => p.reduce((b, x) => Math.max(b, x), a), most), -Infinity);
    return { means, ratios, poles, weights: values.map((t) => t.map((p, j) => p.map((x) => Math.exp(x - top) * prior[j]))) };
  }
  function lawDraws({ means, ratios, poles, weights }, uniforms, at) {
    const { sizes, logs, errors } = means,
      n = sizes.length,
      knots = knotsOf(sizes, at),
      hats = hatsOf(knots, sizes.map(Math.log)),
      hatsAt = hatsOf(knots, at.map(Math.log)),
      step = Math.log(ratios[1] / ratios[0]);
    const shares = (list) => {
      const levels = cumulated(list);
      return levels.map((level) => level / levels.at(-1));
    };
    const ofMisfit = shares(weights.map((t) => sum(t, (p) => sum(p, (x) => x)))),
      ofPole = weights.map((t) => shares(t.map((p) => sum(p, (x) => x)))),
      ofRatio = weights.map((t) => t.map(shares));
    /* Of a kind: how far what a size is known to need counts at each place, and what is left there of each height. */
    const known = KINDS.map(({ s, tau }) => {
      const [inv] = inverse(covariance(hats, errors[s], tau)),
        across = inv.map((row) => sum(row, (x) => x)),
        between = hatsAt.map((to) => hats.map((from) => tau ** 2 * sum(from, (h, k) => h * to[k]))),
        gain = between.map((row) => inv.map((of) => sum(of, (x, j) => x * row[j]))),
        left = hatsAt.map((to, c) => to.map((h, k) => tau * (h - sum(gain[c], (g, j) => g * hats[j][k]))));
      return { across, all: sum(across, (x) => x), gain, left };
    });
    return uniforms.map((u) => {
      const t = place(ofMisfit, u[0]),
        p = place(ofPole[t], u[1]),
        levels = ofRatio[t][p],
        r = place(levels, u[2]),
        below = r ? levels[r - 1] : 0,
        share = (u[2] - below) / Math.max(levels[r] - below, 1e-300),
        logRatio = Math.log(ratios[r]) + (Math.min(Math.max(share, 0), 1) - 0.5) * step,
        { across, all, gain, left } = known[t],
        { s } = KINDS[t],
        rest = sizes.map((M, k) => logs[k] - shape(logRatio, poles[p], M)),
        middle = sum(rest, (x, k) => x * across[k]) / all + normal(u[3]) / Math.sqrt(all),
        heights = range(2 * knots.length).map((k) => normal(u[4 + n + k])),
        against = rest.map((x, k) => x - middle - normal(u[4 + k]) * errors[s][k]);
      const alone = at.map((M) => middle + shape(logRatio, poles[p], M));
      const withMisfit = at.map((_, c) => {
        let moved = alone[c];
        for (let k = 0; k < heights.length; k++) moved += heights[k] * left[c][k];
        for (let k = 0; k < n; k++) moved += against[k] * gain[c][k];
        return moved;
      });
      return { alone, withMisfit };
    });
  }

  // Seconds that the timings allow
  const form = (even, M, power) => {
    const ratio = Math.log(M / even);
    return power === Infinity ? Math.max(ratio, 0) : addExp(0, power * ratio) / power;
  };
  function secondsOf(timings) {
    const sizes = distinct(timings.map(([M]) => M)),
      walls = sizes.map((M) => timings.filter((one) => one[0] === M).map(([, s]) => s).sort((a, b) => a - b)),
      logs = walls.map((list) => Math.log(quantile(list, 0.5)));
    const errors = walls.map((list) => {
      if (list.length < 3) return LEAST_ERROR;
      const sorted = list.map(Math.log);
      const spread = (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 1.35;
      return Math.hypot(LEAST_ERROR, (1.25 * spread) / Math.sqrt(list.length));
    });
    const evens = between(sizes[0] / WIDEST, sizes.at(-1) * WIDEST, BREAK_EVENS);
    const told = POWERS.map((power) =>
      evens.map((even) => {
        const off = sizes.map((M, k) => logs[k] - form(even, M, power)),
          mean = sum(off, (x) => x) / off.length;
        return Math.exp((-0.5 * sum(off, (x) => (x - mean) ** 2)) / BEND ** 2);
      }),
    );
    const weights = [...told.map((list) => Math.max(...list) / POWERS.length), Math.exp(1 - sizes.length)],
      all = sum(weights, (x) => x);
    const along = told.map((list) => cumulated(list.map((x) => x / Math.max(sum(list, (y) => y), 1e-300))));
    return { sizes, logs, errors, evens, levels: cumulated(weights.map((x) => x / all)), along };
  }
  function secondsDraws({ sizes, logs, errors, evens, levels, along }, uniforms, at) {
    const x = sizes.map(Math.log),
      places = at.map(Math.log),
      count = sizes.length;
    const hats = places.map((to) => {
      const found = sizes.map(() => 0);
      hat(range(count), x, to, found);
      return range(count).filter((k) => found[k]).map((k) => [k, found[k]]); // two of them, or one
    });
    const lifted = (list, c) => sum(hats[c], ([k, share]) => share * list[k]);
    return uniforms.map((u) => {
      const off = errors.map((error, k) => normal(u[k]) * error),
        f = place(levels, u[count]);
      if (f < POWERS.length) {
        const even = evens[place(along[f], u[count + 1])];
        const raised = sizes.map((M, k) => logs[k] - form(even, M, POWERS[f]) + off[k]);
        return at.map((M, c) => form(even, M, POWERS[f]) + lifted(raised, c));
      }
      const line = logs.map((y, k) => y + off[k]),
        slope = (i, j) => Math.min(Math.max((line[j] - line[i]) / (x[j] - x[i]), 0), 2),
        first = count > 1 ? slope(0, 1) : 1,
        last = count > 1 ? slope(count - 2, count - 1) : 0,
        v = u[count + 1];
      return places.map(
        (to, c) =>
          lifted(line, c) +
          v * first * Math.min(to - x[0], 0) +
          (last + v * (Math.max(last, 1) - last)) * Math.max(to - x[count - 1], 0),
      );
    });
  }

  function candidates(run, timed) {
    let low = Math.max(run[0] / REACH, timed[0]),
      high = Math.min(run.at(-1) * REACH, timed.at(-1));
    if (low > high) [low, high] = [high, low];
    low = Math.max(low, 1);
    if (low > high) high = low;
    const kept = [...run, ...timed].filter((M) => low <= M && M <= high),
      all = distinct([...between(low, high, BETWEEN + 2), ...kept].map((M) => Math.max(even(M), 1))),
      inside = all.filter((M) => M >= low * (1 - 1e-9) && M <= high * (1 + 1e-9));
    return inside.length ? inside : all;
  }
  const roundness = (M) => {
    let power = 1;
    while (M % (2 * power) === 0) power *= 2;
    return power;
  };

  /* runs: pairs of batch size and updates; timings: pairs of batch size and seconds. */
  function recommend(runs, timings) {
    const found = posterior(meansOf(groupsOf(runs))),
      seconds = secondsOf(timings),
      run = found.means.sizes,
      sizes = candidates(run, seconds.sizes),
      own = 4 + run.length + 2 * knotsOf(run, sizes).length,
      uniforms = quasiRandom(own + seconds.sizes.length + 2),
      laws = lawDraws(found, uniforms, sizes),
      waits = secondsDraws(seconds, uniforms.map((u) => u.slice(own)), sizes),
      times = waits.map((row, d) => row.map((t, c) => t + laws[d].withMisfit[c])),
      least = times.map((row) => Math.min(...row)),
      column = (value) => sizes.map((_, c) => Float64Array.from(times, (row, d) => value(row[c], d)).sort()),
      at = Math.ceil(LEVEL * (DRAWS - 1)),
      bounds = column((t, d) => (t < Infinity ? Math.expm1(Math.min(t - least[d], 50)) : Infinity)).map((list) => list[at]),
      bound = Math.min(...bounds),
      good = range(sizes.length).filter((c) => bounds[c] <= bound + AS_GOOD),
      best = good.reduce((a, b) => (roundness(sizes[b]) > roundness(sizes[a]) ? b : a)),
      middle = column((t) => t).map((list) => quantile(list, 0.5)),
      near = range(sizes.length).filter((c) => middle[c] <= Math.min(...middle.filter((m) => m < Infinity)) + Math.log1p(0.05));
    return {
      batch_size: sizes[best],
      regret: bounds[best],
      refused: !(bounds[best] <= LIMIT),
      // the law alone is what is predicted, the misfit how far that may be off
      seconds: Math.exp(quantile(Float64Array.from(waits, (row, d) => row[best] + laws[d].alone[best]).sort(), 0.5)),
      within: [sizes[near[0]], sizes[near.at(-1)]],
      typical: found.means.typical,
    };
  }
  return { recommend, highest, groupsOf, relativeSpreads, ofLaw, ofMeans, mostLikelyLaw, normal };
})();
if (typeof module !== "undefined") module.exports = batchtimeAdvice;
else window.batchtimeAdvice = batchtimeAdvice;
