/* The calculator of the book. A classic script: it asks for no file, so that it also works from file:// and offline.
   `model` holds every formula, in seconds and examples; what follows it reads the page and draws. */
"use strict";
window.batchtimeCalculator = (() => {
  // A setting s: n_inf, alpha, delta, gamma, p, and the network: shape, latency, bandwidth, payload.
  const join = (a, b, p) => {
    const [low, high] = a < b ? [a, b] : [b, a];
    return p === 1 ? a + b : high === 0 || p === Infinity ? high : high * (1 + (low / high) ** p) ** (1 / p);
  };
  const model = {
    updates: (s, M) => s.n_inf + s.alpha / M,
    updateSeconds: (s, M) => join(s.delta, s.gamma * M, s.p),
    seconds: (s, M) => model.updates(s, M) * model.updateSeconds(s, M),
    critical: (s) => (s.n_inf > 0 ? s.alpha / s.n_inf : Infinity),
    breakEven: (s) => (s.gamma > 0 ? s.delta / s.gamma : Infinity),
    weight: (s) => 1 / (1 + s.p), // of the algorithm's batch size in the logarithm of the optimum
    optimum(s) {
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
      if (s.p === 1) return (Math.sqrt(waiting) + Math.sqrt(working)) ** 2;
      return best > 0 && best < Infinity ? model.seconds(s, best) : join(waiting, working, Math.min(s.p, 1));
    },
    within(s, excess) {
      // the batch sizes between which T is at most (1 + excess) times the least
      const falls = s.alpha * s.delta,
        grows = s.n_inf * s.gamma;
      if (s.p === 1) {
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
      // per cent by which the least time falls where alpha, or gamma, falls by one
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

  // The page. A quantity: its name in the address, group, label, unit, slider from and to, factor to seconds or examples;
  // a slider with a factor is logarithmic, from and to being powers of ten.
  const QUANTITIES = [
    ["n_inf", "algorithm", "<i>n</i><sub>∞</sub>: updates that remain however large the batch", "updates", 0, 6, 1],
    ["alpha", "algorithm", "<i>α</i>: examples needed in the limit of small batches", "examples", 0, 9, 1],
    ["delta", "machine", "<i>δ</i>: of an update, however small the batch", "milliseconds", -3, 5, 1e-3],
    ["gamma", "machine", "<i>γ</i>: for each example", "milliseconds", -6, 3, 1e-3],
    ["p", "machine", "<i>p</i>: sharpness of the bend between both", "1 is a straight line", 0.2, 8, 0],
    ["learners", "learners", "<i>L</i>: share each batch", "learners", 1, 64, 0],
    ["latency", "network", "Latency of a message", "microseconds", -1, 5, 1e-6],
    ["bandwidth", "network", "Bandwidth", "gigabytes a second", -3, 3, 1e9],
    ["payload", "network", "Bytes of a gradient", "megabytes", -3, 5, 1e6],
  ];
  const LAW = ["n_inf", "alpha"],
    MACHINE = ["delta", "gamma", "p"],
    ALL = [...LAW, ...MACHINE];
  const LEARNERS = [1, 2, 4, 8, 16, 32, 64],
    LONGEST_LINK = 8000;
  const presets = JSON.parse(document.getElementById("calculator-presets").textContent);
  const $ = (id) => document.getElementById(`calculator-${id}`);
  const errors = new Map(); // by quantity: what was typed is left as it is until it is corrected
  let state,
    fitted = null,
    later = 0;

  const presetOf = (name) => presets.find((one) => one.name === name);
  const recorded = (name, { n_inf, alpha, delta, gamma, p } = presetOf(name)) => ({
    preset: name,
    n_inf,
    alpha,
    delta: delta * 1e3,
    gamma: gamma * 1e3,
    p: p === null ? Infinity : p,
    learners: 1,
    shape: "none",
    latency: 20,
    bandwidth: 10,
    payload: 1,
    table: "",
  });
  const setting = () =>
    Object.fromEntries([
      ["shape", state.shape],
      ...QUANTITIES.map(([id, , , , , , factor]) => [id, state[id] * (factor || 1)]),
    ]);
  const asRecorded = (names) => names.every((id) => state[id] === recorded(state.preset)[id]);
  const asFitted = () => fitted !== null && LAW.every((id) => state[id] === rounded(fitted[id]));

  // Words
  const rounded = (value, digits = 6) => Number(value.toPrecision(digits));
  const show = (value, digits = 3) => {
    const short = rounded(value, digits);
    return !Number.isFinite(value)
      ? value > 0
        ? "∞"
        : "–"
      : short >= 1e3 && short < 1e15
        ? short.toLocaleString("en")
        : String(short);
  };
  const interval = ([low, high]) =>
    low === null
      ? high === null
        ? "not bounded"
        : `less than ${show(high)}`
      : high === null
        ? `more than ${show(low)}`
        : `${show(low)} to ${show(high)}`;
  const LONG = [
    [172800, 86400, "days"],
    [7200, 3600, "hours"],
    [120, 60, "minutes"],
  ];
  const duration = (seconds) => {
    const unit = LONG.find(([from]) => seconds >= from);
    return `${show(seconds)} seconds${unit && seconds < Infinity ? ` (${show(seconds / unit[1])} ${unit[2]})` : ""}`;
  };

  function aboutPreset() {
    const one = presetOf(state.preset),
      base = recorded(state.preset);
    const ends = (id, factor = 1) => interval(one.intervals[id].map((end) => end && end * factor));
    const bend = one.intervals.p
      ? ` and <i>p</i> = ${show(base.p)} (${ends("p")})`
      : one.p === null
        ? ", the larger of the two"
        : "";
    const changed = ALL.filter((id) => state[id] !== base[id]);
    return `As recorded: <i>n</i><sub>∞</sub> = ${show(base.n_inf)} updates (95 % interval ${ends("n_inf")}) and
      <i>α</i> = ${show(base.alpha)} examples (${ends("alpha")}), from ${one.runs} runs at batch sizes ${interval(one.fitted)};
      <i>δ</i> = ${show(base.delta)} ms (${ends("delta", 1e3)}) and <i>γ</i> = ${show(base.gamma)} ms
      (${ends("gamma", 1e3)})${bend}, from ${one.timed} timed batch sizes on ${one.cpu}, one thread.
      ${changed.length ? `<strong>Changed here: ${changed.join(", ")}.</strong>` : ""}`;
  }

  function result(s) {
    const L = state.learners,
      here = model.withLearners(s, L),
      best = model.optimum(here),
      least = model.least(here);
    if (!(least > 0 && least < Infinity))
      return "These numbers make no training time: give the algorithm and the machine more than 0.";
    const lines = [],
      { intervals, fitted: fittedTo } = presetOf(state.preset),
      known = asFitted() || asRecorded(LAW);
    const [from, to] = asFitted() ? [fitted.sizes[0], fitted.sizes.at(-1)] : fittedTo;
    if (best > 0 && best < Infinity) {
      const ends = asRecorded(ALL)
        ? intervals.optimum.map((end) => end && (end * best) / model.optimum(s))
        : asFitted()
          ? fitted.intervals.critical.map((end) => end && best * (end / fitted.critical) ** model.weight(s))
          : null;
      const source = asFitted() && !asRecorded(ALL) ? " from the runs alone" : "";
      lines.push(`The optimum is <strong>${show(best)} examples</strong>${ends ? ` (95 % interval${source}: ${interval(ends)})` : ""}${
        L > 1 ? `, ${show(best / L)} for each of ${show(L)} learners` : ""
      }; any batch size of
        <strong>${model
          .within(here, 0.05)
          .map((end) => show(end))
          .join(" to ")}</strong> comes within 5 % of its time.`);
      lines.push(`Training takes <strong>${duration(least)}</strong> there: ${show(model.updates(here, best))} updates of
        ${show(1e3 * model.updateSeconds(here, best))} milliseconds.`);
    } else
      lines.push(
        best > 1
          ? "The larger the batch, the shorter is training: nothing in these numbers sets an end to it."
          : best === 0
            ? "The smaller the batch, the shorter is training."
            : "Every batch size takes the same time.",
      );
    const share = model.noiseShare(here),
      fixed = L > 1 ? "<i>δ</i> + <i>c</i>(<i>L</i>)" : "<i>δ</i>";
    const parts = [
      [`<i>n</i><sub>∞</sub> or ${fixed}`, 1 - share],
      ["<i>α</i> or <i>γ</i>", share],
    ].sort((one, other) => other[1] - one[1]);
    lines.push(`What limits it: 1 % less of ${parts.map(([words, part]) => `${words} saves ${show(part, 2)} %`).join(", of ")}.
      However many learners, and where communication is free, ${duration(s.n_inf * s.delta)} remain: <i>n</i><sub>∞</sub> updates of <i>δ</i>.`);
    const exchange = model.allReduce(s, L);
    if (exchange > 0) lines.push(`Of each update ${show(exchange * 1e3)} milliseconds are communication.`);
    if (best < L)
      lines.push(
        `The optimum, ${show(best)}, is less than one example for each of ${show(L)} learners${L > 1 ? ": take fewer" : ""}.`,
      );
    else if (known && (best < from || best > to))
      lines.push(`<strong>But it lies ${best < from ? "below" : "above"} the batch sizes that the law was fitted to, ${show(from)} to ${show(to)},
        where nothing says that the law holds: ${
          best < from / 2 || best > 2 * to
            ? "it is too far from them for any advice; run batch sizes nearer to it"
            : `the advice is ${show(best < from ? from : to)}`
        }.</strong>`);
    if (asFitted() && !asRecorded(LAW) && asRecorded(MACHINE))
      lines.push(`<strong>The seconds are those of ${state.preset}'s network on ${presetOf(state.preset).cpu}: put in your own.</strong>`);
    return lines.map((line) => `<p>${line}</p>`).join("");
  }

  // Drawings: batch sizes or learners on an axis in powers of two, seconds on one in powers of ten
  function chart(svg, [first, last], [low, high], words, content) {
    const width = svg.clientWidth || 640,
      height = Math.min(Math.max(0.62 * width, 280), 420);
    const [left, right, top, bottom] = [60, width - 24, 40, height - 44];
    const X = (M) => left + ((Math.log2(M) - first) / (last - first)) * (right - left);
    const Y = (T) => bottom - (Math.log10(T / low) / Math.log10(high / low)) * (bottom - top);
    const every = Math.ceil(((last - first) * (18 + 7 * show(2 ** last, 15).length)) / (right - left));
    const octaves = Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, j) => 2 ** (first + j * every));
    const decades = Array.from({ length: 40 }, (_, j) => 10 ** (j - 20)).filter(
      (one) => one >= low / 10 && one <= high,
    );
    const seconds = (steps) =>
      decades.flatMap((one) => steps.map((step) => rounded(step * one))).filter((T) => T >= low && T <= high);
    const ticks = [[1], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]]
      .map(seconds)
      .find((found, j) => found.length > 2 || j === 2);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.innerHTML = [
      ...ticks.map(
        (T) =>
          `<path class="grid" d="M${left} ${Y(T)}H${right}"/><text x="${left - 6}" y="${Y(T) + 4}" class="end">${show(T)}</text>`,
      ),
      ...octaves.map(
        (M) =>
          `<path class="grid" d="M${X(M)} ${top}V${bottom}"/><text x="${X(M)}" y="${bottom + 18}" class="middle">${show(M, 15)}</text>`,
      ),
      `<text x="${(left + right) / 2}" y="${height - 6}" class="middle">${words}</text>`,
      `<text class="middle" transform="translate(13 ${(top + bottom) / 2}) rotate(-90)">seconds to the target</text>`,
      content({ X, Y, left, right, top, bottom }),
    ].join("");
  }
  const path = (kind, { X, Y }, T, from, to, points = 160) =>
    from < to
      ? `<path class="${kind}" d="M${Array.from({ length: points + 1 }, (_, j) => from * (to / from) ** (j / points))
          .map((M) => `${X(M).toFixed(2)} ${Y(T(M)).toFixed(2)}`)
          .join("L")}"/>`
      : "";

  function drawCurve(s) {
    const here = model.withLearners(s, state.learners),
      T = (M) => model.seconds(here, M),
      best = model.optimum(here);
    const algorithm = model.critical(here),
      machine = model.breakEven(here),
      ends = model.within(here, 0.05);
    const sizes = asFitted() ? fitted.sizes : asRecorded(LAW) ? presetOf(state.preset).fitted : null;
    const marked = [algorithm, machine, best, ...ends, ...(sizes || [])].filter((M) => M > 0 && M < Infinity);
    const first = Math.max(0, Math.floor(Math.log2(Math.min(...marked, 2 ** 20)) - 0.5));
    const last = Math.min(Math.max(Math.ceil(Math.log2(Math.max(...marked, 1)) + 0.5), first + 4), first + 30);
    const [from, to] = [2 ** first, 2 ** last],
      clip = (M) => Math.min(Math.max(M, from), to);
    const low = T(clip(best || from)),
      high = Math.max(T(from), T(to), 1.5 * low);
    if (!(low > 0 && high < Infinity)) return $("curve").replaceChildren();
    chart($("curve"), [first, last], [low / 1.35, high * 1.05], "batch size M (examples)", (place) => {
      const { X, Y, left, right, top, bottom } = place;
      const mark = (kind, M, y) =>
        M >= from && M <= to
          ? `<path class="${kind}" d="M${X(M)} ${y + 4}V${bottom}"/>
        <text x="${X(M)}" y="${y}" class="${X(M) < (left + right) / 2 ? "" : "end"}">${kind}: ${show(M)}</text>`
          : "";
      return (
        path("curve beyond", place, T, from, to) +
        path("curve", place, T, sizes ? clip(sizes[0]) : from, sizes ? clip(sizes.at(-1)) : to) +
        path("curve within", place, T, clip(ends[0]), clip(ends[1])) +
        mark("algorithm", algorithm, 14) +
        mark("machine", machine, 32) +
        (best >= from && best <= to
          ? `<path class="optimum" d="M${X(best)} ${Y(T(best)) - 8}l7 8l-7 8l-7 -8z"/>
          <text x="${X(best)}" y="${Math.min(Y(T(best)) + 24, bottom - 4)}" class="middle">optimum: ${show(best)}</text>`
          : "")
      );
    });
  }

  function drawScaling(s) {
    const ways = ["strong", "weak", "optimal"],
      values = LEARNERS.map((L) => ways.map((way) => model[way](s, L)));
    $("scaling").innerHTML = LEARNERS.map(
      (L, j) =>
        `<tr>${[show(L), show(model.optimum(model.withLearners(s, L))), ...values[j].map((T) => show(T))]
          .map((text) => `<td>${text}</td>`)
          .join("")}</tr>`,
    ).join("");
    $("useful").textContent = `Twice as many learners save less than 5 % from L = ${show(model.useful(s))} on.`;
    const low = Math.min(...values.flat()),
      high = Math.max(...values.flat());
    if (!(low > 0 && high < Infinity)) return $("projection").replaceChildren();
    chart($("projection"), [0, 6], [low / 1.1, high * 1.1], "learners L", (place) => {
      const { X, left, right, top, bottom } = place,
        share = (right - left) / 3;
      return (
        (state.learners <= 64 ? `<path class="now" d="M${X(state.learners)} ${top}V${bottom}"/>` : "") +
        ways
          .map(
            (way, j) =>
              path(`curve ${way}`, place, (L) => model[way](s, L), 1, 64, 96) +
              `<path class="curve ${way}" d="M${left + j * share} 12h26"/><text x="${left + j * share + 32}" y="16">${way}</text>`,
          )
          .join("") +
        `<text class="end" x="${right}" y="32">a projection</text>`
      );
    });
  }

  function draw(s) {
    drawCurve(s);
    drawScaling(s);
  }

  // The address: the preset, and what differs from it
  const address = () => {
    const base = recorded(state.preset),
      changed = Object.keys(base).filter((id) => id !== "preset" && state[id] !== base[id]);
    return `#${["preset", ...changed].map((id) => `${id}=${encodeURIComponent(state[id]).replaceAll("%2C", ",")}`).join("&")}`;
  };
  function restore() {
    const given = new Map(
      location.hash
        .slice(1)
        .split("&")
        .filter((part) => part.includes("="))
        .map((part) => {
          const [id, ...rest] = part.split("=");
          try {
            return [id, decodeURIComponent(rest.join("="))];
          } catch {
            return [id, rest.join("=")];
          }
        }),
    );
    errors.clear();
    if (given.has("preset") && !presetOf(given.get("preset")))
      errors.set(
        "preset",
        `preset = '${given.get("preset")}' is not allowed; allowed: ${presets.map((one) => one.name).join(", ")}`,
      );
    state = recorded(errors.has("preset") || !given.has("preset") ? presets[0].name : given.get("preset"));
    if (["ring", "tree"].includes(given.get("shape"))) state.shape = given.get("shape");
    QUANTITIES.forEach(([id]) => given.has(id) && take(id, given.get(id)));
    QUANTITIES.forEach(([id]) => errors.has(id) && ($(id).value = given.get(id)));
    state.table = given.get("table") || "";
    fitted = null;
    $("fit").replaceChildren();
    $("refused").textContent = "";
    if (state.table) {
      $("table").value = state.table;
      fitTable(state.table, false);
    }
    update(false);
  }
  function remember(push) {
    if (address() !== location.hash) history[push ? "pushState" : "replaceState"](null, "", address());
  }

  // What readers do
  const numberOf = (text) => (/^(inf|infinity|∞)$/i.test(text) ? Infinity : text === "" ? NaN : Number(text));
  function take(id, text) {
    // a value that was typed, or one of the address
    const typed = text.trim(),
      value = numberOf(typed);
    const [allowed, right] =
      id === "learners"
        ? ["a whole number from 1 to 1,048,576", Number.isInteger(value) && value >= 1 && value <= 2 ** 20]
        : id === "p"
          ? ["a number more than 0; inf for the larger of the two", value > 0]
          : id === "bandwidth"
            ? ["a finite number more than 0", value > 0 && value < Infinity]
            : ["a finite number of at least 0", value >= 0 && value < Infinity];
    if (right) {
      errors.delete(id);
      const base = recorded(state.preset)[id]; // of which the field shows six digits
      state[id] = value === rounded(base) ? base : value;
    } else errors.set(id, `${id} = '${typed}' is not allowed; allowed: ${allowed}`);
  }
  function update(changed = true) {
    const s = setting();
    $("preset").value = state.preset;
    $("shape").value = state.shape;
    $("of-network").hidden = state.shape === "none";
    for (const [id, , , unit, from, to, factor] of QUANTITIES) {
      const slider = $(`${id}-slider`),
        field = $(id);
      slider.value = Math.min(Math.max(factor ? Math.log10(state[id]) : state[id], from), to);
      slider.setAttribute("aria-valuetext", `${show(state[id])} ${unit}`);
      field.setAttribute("aria-invalid", errors.has(id));
      if (!errors.has(id) && numberOf(field.value) !== rounded(state[id])) field.value = rounded(state[id]);
    }
    $("error").textContent = [...errors.values()].join(". ");
    const here = model.withLearners(s, state.learners);
    $("brief").textContent = errors.size
      ? "A number is not allowed"
      : `Optimum ${show(model.optimum(here))} examples, ${show(model.least(here))} s`;
    draw(s);
    clearTimeout(later);
    // Once the hand rests: what is announced, and the address.
    later = setTimeout(() => settle(s, changed), 200);
  }
  function settle(s, changed) {
    const before = errors.size ? "<p><strong>For the last numbers that are allowed:</strong></p>" : "";
    const texts = { about: aboutPreset(), result: before + result(s) },
      here = model.withLearners(s, state.learners);
    $("curve").setAttribute(
      "aria-label",
      `Training time against the batch size, a bowl whose least value, ${duration(
        model.least(here),
      )}, is at ${show(model.optimum(here))} examples`,
    );
    for (const [id, text] of Object.entries(texts))
      if ($(id).dataset.text !== text) $(id).innerHTML = $(id).dataset.text = text;
    if (changed) remember(false);
  }

  function readTable(text) {
    const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/),
      known = ["batch_size", "updates", "seed", "updates_lower", "censored"];
    const cells = (line) => line.split(/[,\t]/).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    const head = lines.findIndex((line) => line.trim()),
      names = head < 0 ? [] : cells(lines[head]);
    const missing = known.slice(0, 2).find((name) => !names.includes(name)),
      unknown = names.filter((name) => !known.includes(name));
    if (missing || unknown.length || new Set(names).size < names.length) {
      const wrong = `has unknown or repeated columns ['${(unknown.length ? unknown : names).join("', '")}']`;
      const remedy = names.join().includes(";") ? "separate cells with commas" : `allowed: ${known.join(", ")}`;
      throw Error(
        `the table ${missing ? `lacks column ${missing}` : wrong} in its header '${names.join()}'; ${remedy} (needed: batch_size, updates)`,
      );
    }
    const runs = lines
      .map((line, j) => [cells(line), j + 1])
      .slice(head + 1)
      .filter(([row]) => row.some(Boolean))
      .map(([row, number]) => {
        const place = `the table, line ${number}`,
          cell = (name) => row[names.indexOf(name)] || "";
        if (row.length !== names.length)
          throw Error(`${place} has more or fewer cells than the header; give one cell a column`);
        const refuse = (name, allowed) => {
          throw Error(`${place}, column ${name}, value '${cell(name)}': allowed is ${allowed}`);
        };
        const value = (name) =>
          /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(cell(name)) && Number(cell(name)) > 0 && Number(cell(name)) <= 1e15
            ? Number(cell(name))
            : refuse(name, "a number more than 0 and at most 1e15");
        if (!/^(false|0)?$/i.test(cell("censored")))
          refuse("censored", "false or empty here; `batchtime fit` counts such runs");
        if (cell("updates_lower")) refuse("updates_lower", "empty here; `batchtime fit` counts such runs as they are");
        return [value("batch_size"), value("updates")];
      });
    if (!runs.length) throw Error("the table has no rows below its header; give one row a run");
    const sizes = new Set(runs.map(([M]) => M));
    if (sizes.size < 2)
      throw Error(`runs reached the target only at batch size [${runs[0][0]}]; add runs at another batch size`);
    return { runs, seeds: names.includes("seed") };
  }
  function caveats({ runs, sizes, intervals, lackOfFit }, seeds) {
    const span = sizes.at(-1) / sizes[0],
      open = intervals.critical.includes(null),
      none = intervals.n_inf.concat(intervals.alpha).every((end) => end === null);
    return [
      span < 4 &&
        `The batch sizes span a factor of ${show(span)} only: too close to tell n_inf from alpha / M; add some at least 4 times apart.`,
      sizes.length === 2 &&
        "Two batch sizes fit any law of two parameters: whether the law holds is not tested; add a third.",
      lackOfFit !== null &&
        lackOfFit < 0.01 &&
        `The batch sizes stand off the law by more than the scatter of their runs explains (lack of fit, p = ${show(
          lackOfFit,
          1,
        )}); the intervals allow for it.`,
      none && open
        ? `There are no intervals: ${runs > 2 ? "the runs scatter not at all, or beyond all reason; check them" : `${runs} runs leave none over to tell their scatter; add seeds`}.`
        : open && "The runs leave a side of alpha / n_inf open: add smaller and larger batch sizes, or more seeds.",
      seeds &&
        "Column seed is not used here: where runs of one seed go together, the intervals of <code>batchtime fit</code> are the right ones.",
    ].filter(Boolean);
  }
  function readTimings(text) {
    const rows = text
      .trim()
      .split(/\r\n|\r|\n/)
      .map((line) => line.split(/[,\t]/).map((cell) => cell.trim()));
    const [size, seconds] = ["batch_size", "seconds"].map((name) => rows[0].indexOf(name));
    if (size < 0 || seconds < 0) throw Error("the timings need a header with batch_size and seconds");
    const found = rows.slice(1).map((row) => [Number(row[size]), Number(row[seconds])]);
    if (!found.length || !found.every(([M, s]) => M > 0 && M <= 1e15 && s > 0 && s <= 1e15))
      throw Error("each timing is a batch size and seconds, both more than 0");
    return found;
  }
  function advise() {
    try {
      const { runs } = readTable($("table").value),
        found = batchtimeAdvice.recommend(runs, readTimings($("timing").value)),
        bound = show(100 * found.regret, 2);
      $("advice").textContent = found.refused
        ? `No advice: batch size ${found.batch_size} may take ${bound} % longer than the best (95 %), more than 15 %.`
        : `Batch size ${found.batch_size}, at most ${bound} % slower than the best (95 %): ${duration(found.seconds)}; ${found.within.map((M) => show(M)).join(" to ")} within 5 %.`;
      if (found.typical) $("advice").textContent += " With one run at each size a typical scatter is assumed: add seeds.";
    } catch (error) {
      $("advice").textContent = error.message;
    }
  }
  function fitTable(text, adopt = true) {
    $("fit").replaceChildren();
    $("refused").textContent = "";
    $("table").setAttribute("aria-invalid", false);
    try {
      const { runs, seeds } = readTable(text);
      fitted = model.fit(runs);
      const rows = [
        ["n_inf", "updates"],
        ["alpha", "examples"],
        ["critical", "examples"],
      ].map(
        ([id, unit]) =>
          `<tr><th scope="row">${id === "critical" ? "alpha / n_inf" : id}</th><td>${show(fitted[id])}</td><td>${unit}</td><td>${interval(fitted.intervals[id])}</td></tr>`,
      );
      $("fit").innerHTML =
        `<p>${runs.length} runs at ${fitted.sizes.length} batch sizes${
          runs.length > fitted.sizes.length ? `; runs at one batch size scatter by ${show(100 * fitted.spread, 2)} %` : ""
        }.
        <i>n</i><sub>∞</sub> and <i>α</i> are in the calculator above.</p>
        <table class="dataframe"><thead><tr>${["quantity", "estimate", "unit", "95 % interval"].map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead>
        <tbody>${rows.join("")}</tbody></table>${caveats(fitted, seeds)
          .map((line) => `<p>${line}</p>`)
          .join("")}`;
      if (adopt) {
        LAW.forEach((id) => errors.delete(id) || (state[id] = rounded(fitted[id])));
        state.table = text.length > LONGEST_LINK ? "" : text;
        if (!state.table)
          $("refused").textContent =
            `The table is too long to travel in the address (${text.length} characters): keep its file.`;
        update(false);
        remember(true);
      }
    } catch (error) {
      $("refused").textContent = error.message;
      $("table").setAttribute("aria-invalid", true);
    }
  }

  for (const [id, group, label, unit, from, to, factor] of QUANTITIES) {
    $(`of-${group}`).insertAdjacentHTML(
      "beforeend",
      `<div class="quantity"><label for="calculator-${id}-slider">${label} <span>(${unit})</span></label>
      <input type="range" id="calculator-${id}-slider" min="${from}" max="${to}" step="${id === "learners" ? 1 : 0.01}">
      <input type="text" inputmode="decimal" autocomplete="off" id="calculator-${id}" aria-label="${id}, ${unit}" aria-describedby="calculator-error"></div>`,
    );
    $(`${id}-slider`).addEventListener("input", ({ target }) => {
      errors.delete(id);
      state[id] = factor ? rounded(10 ** target.value, 3) : Number(target.value);
      update();
    });
    $(id).addEventListener("input", ({ target }) => {
      take(id, target.value);
      update();
    });
  }
  $("preset").innerHTML = presets.map(({ name, title }) => `<option value="${name}">${title}</option>`).join("");
  const choose = () => {
    const { learners, shape, latency, bandwidth, payload } = state;
    ALL.concat("preset").forEach((id) => errors.delete(id));
    state = { ...recorded($("preset").value), learners, shape, latency, bandwidth, payload };
    fitted = null;
    $("fit").replaceChildren();
    update(false);
    remember(true);
  };
  $("preset").addEventListener("change", choose);
  $("again").addEventListener("click", choose);
  $("shape").addEventListener("change", ({ target }) => {
    state.shape = target.value;
    update();
  });
  $("advise").addEventListener("click", advise);
  $("ask").addEventListener("click", () => fitTable($("table").value));
  $("file").addEventListener("change", async ({ target }) => {
    $("table").value = await target.files[0].text();
    fitTable($("table").value);
  });
  $("copy").addEventListener("click", () => {
    remember(false);
    const failed = () => ($("copied").textContent = "This browser lets no page copy: take the address from its bar.");
    if (!navigator.clipboard) return failed();
    navigator.clipboard.writeText(location.href).then(() => ($("copied").textContent = "Copied."), failed);
  });
  window.addEventListener("resize", () => draw(setting()));
  window.addEventListener("popstate", () => (location.hash === "" || location.hash.includes("=")) && restore());
  $("all").hidden = false;
  restore();
  return { model, presets, address };
})();
