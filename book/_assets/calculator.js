/* The calculator of the book: what is seen and touched; model.js computes. A classic script, as that is. */
"use strict";
window.batchtimeCalculator = (() => {
  const model = batchtimeModel;
  // A quantity: its name in the address, group, label, unit, slider from and to, factor to seconds or examples; a slider
  // with a factor is logarithmic, from and to being powers of ten.
  const QUANTITIES = [
    ["rate", "algorithm", "<i>η</i>", "learning rate", -3, 0, 1],
    ["n_inf", "algorithm", "<i>n</i><sub>∞</sub>", "updates", 0, 6, 1],
    ["alpha", "algorithm", "<i>α</i>", "examples", 0, 9, 1],
    ["delta", "machine", "<i>δ</i>", "milliseconds", -3, 5, 1e-3],
    ["gamma", "machine", "<i>γ</i>", "milliseconds an example", -6, 3, 1e-3],
    ["batch", "batch", "<i>M</i>", "examples: your batch", 0, 5, 1],
    ["pole", "bends", "Batch that never gets there", "examples", -1, 3, 1],
    ["p", "bends", "<i>p</i>, sharpness of the bend in seconds", "1 is a straight line", 0.2, 8, 0],
    ["learners", "learners", "<i>L</i>, share each batch", "workers", 1, 64, 0],
    ["latency", "network", "Latency of a message", "microseconds", -1, 5, 1e-6],
    ["bandwidth", "network", "Bandwidth", "gigabytes a second", -3, 3, 1e9],
    ["payload", "network", "Bytes of a gradient", "megabytes", -3, 5, 1e6],
  ];
  const LAW = ["n_inf", "alpha", "pole"],
    MACHINE = ["delta", "gamma", "p"],
    ALL = [...LAW, ...MACHINE];
  const LEARNERS = [1, 2, 4, 8, 16, 32, 64],
    LONGEST_LINK = 8000;
  const dataOf = (id) => JSON.parse(document.getElementById(id)?.textContent || "[]");
  const presets = dataOf("calculator-presets"),
    machines = dataOf("calculator-machines");
  const $ = (id) => document.getElementById(`calculator-${id}`);
  const errors = new Map(); // by quantity: what was typed is left as it is until it is corrected
  let state,
    fitted = null,
    later = 0;

  const presetOf = (name) => presets.find((one) => one.name === name);
  const curveOf = () => presetOf(state.preset).curve;
  const recorded = (name, { n_inf, alpha, delta, gamma, p, curve } = presetOf(name)) => ({
    preset: name,
    machine: "",
    rate: curve ? curve.rate : 0,
    n_inf,
    alpha,
    pole: 0,
    delta: delta * 1e3,
    gamma: gamma * 1e3,
    p: p === null ? Infinity : p,
    batch: 64,
    learners: 1,
    shape: "none",
    latency: 20,
    bandwidth: 10,
    payload: 1,
    table: "",
    timing: "",
  });
  const setting = () => ({
    shape: state.shape,
    logarithm: state.pole > 0 && curveOf()?.form === "logarithm",
    ...Object.fromEntries(QUANTITIES.map(([id, , , , , , factor]) => [id, state[id] * (factor || 1)])),
  });
  const asRecorded = (names) => names.every((id) => state[id] === recorded(state.preset)[id]);
  const asFitted = () => fitted !== null && LAW.every((id) => state[id] === rounded(fitted[id]));

  // Words: numbers as people say them
  const rounded = (value, digits = 4) => Number(value.toPrecision(digits));
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
  const tick = (T) =>
    T >= 1e6 ? T.toExponential().replace("e+", "e") : T >= 1e4 ? `${T / 1e3}k` : T < 1e-3 ? T.toExponential() : show(T);
  const size = (M) => (M >= 10 ? show(Math.round(M), 15) : show(M, 2)); // a batch size: whole, from ten on
  const within = ([low, high]) => {
    const [least, most] = [Math.ceil(low - 1e-9), Math.floor(high + 1e-9)];
    return low > 0 && high < 1e15 && least < most ? `${show(least, 15)} to ${show(most, 15)}` : `${size(low)} to ${size(high)}`;
  };
  const interval = ([low, high], word = show) =>
    low === null
      ? high === null
        ? "not bounded"
        : `less than ${word(high)}`
      : high === null
        ? `more than ${word(low)}`
        : `${word(low)} to ${word(high)}`;
  const LONG = [
    [172800, 86400, "days"],
    [7200, 3600, "hours"],
    [120, 60, "minutes"],
  ];
  const duration = (seconds) => {
    const unit = LONG.find(([from]) => seconds >= from && seconds < Infinity);
    return unit ? `${show(seconds / unit[1], 2)} ${unit[2]}` : `${show(seconds, 2)} seconds`;
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
  function yours(s, here) {
    // what the batch size under the hand takes
    const M = state.batch,
      T = model.seconds(here, M),
      more = T / model.least(here) - 1;
    if (!(T < Infinity)) return `A batch of ${size(M)} never gets there`;
    return `A batch of ${size(M)}: ${show(model.updates(here, M))} updates of ${show(1e3 * model.updateSeconds(here, M), 2)} ms make ${duration(T)}, ${
      more < 0.005 ? "the least" : `${show(100 * more, 2)} % above the least`
    }`;
  }
  function inShort(here) {
    const [best, T] = [model.optimum(here), model.seconds(here, state.batch)],
      more = show(100 * (T / model.least(here) - 1), 2);
    return `Best: ${size(best)} examples, ${duration(model.least(here))}. At ${size(state.batch)}: ${T < Infinity ? `${duration(T)}, ${more} % more` : "never"}.`;
  }
  function ofRate() {
    const curve = curveOf();
    if (!curve || asRecorded(["rate"]) || asFitted()) return [];
    return [
      `At the learning rate ${show(state.rate)} the updates come from <a href="runs/one-curve-${state.preset}.html">one curve for all learning rates</a>:
      below ${size(state.pole)} examples training never gets there, and ${show(curve.largest)} is the largest rate at which every run did.`,
    ];
  }

  function result(s) {
    const L = state.learners,
      here = model.withLearners(s, L),
      best = model.optimum(here),
      least = model.least(here);
    if (!(least > 0 && least < Infinity))
      return "<p>These numbers make no training time: give the algorithm and the machine more than 0.</p>";
    const lines = [],
      { intervals, fitted: fittedTo } = presetOf(state.preset),
      known = asFitted() || asRecorded(LAW);
    const [from, to] = asFitted() ? [fitted.sizes[0], fitted.sizes.at(-1)] : fittedTo;
    if (best > 0 && best < 1e15) {
      const ends = asRecorded(ALL)
        ? intervals.optimum.map((end) => end && (end * best) / model.optimum(s))
        : asFitted()
          ? fitted.intervals.critical.map((end) => end && best * (end / fitted.critical) ** model.weight(s))
          : null;
      const source = asFitted() && !asRecorded(ALL) ? " from the runs alone" : "";
      lines.push(`The best batch has about <strong>${size(best)} examples</strong>${ends ? ` (95 % interval${source}: ${interval(ends, size)})` : ""}${
        L > 1 ? `, ${size(best / L)} for each of ${show(L)} workers` : ""
      }; any of <strong>${within(model.within(here, 0.05))}</strong> comes within 5 % of its time.`);
      lines.push(`Training takes <strong>${duration(least)}</strong> there: ${show(model.updates(here, best))} updates of
        ${show(1e3 * model.updateSeconds(here, best), 2)} milliseconds. ${yours(s, here)}.`);
    } else
      lines.push(
        best > 1
          ? "The larger the batch, the shorter is training: nothing in these numbers sets an end to it."
          : best === 0
            ? "The smaller the batch, the shorter is training."
            : "Every batch size takes the same time.",
      );
    lines.push(...ofRate());
    const share = model.noiseShare(here),
      fixed = L > 1 ? "<i>δ</i> + <i>c</i>(<i>L</i>)" : "<i>δ</i>";
    const parts = [
      [s.pole > 0 ? "<i>n</i><sub>∞</sub>" : `<i>n</i><sub>∞</sub> or ${fixed}`, 1 - share],
      [s.pole > 0 ? "<i>α</i>" : "<i>α</i> or <i>γ</i>", share],
    ].sort((one, other) => other[1] - one[1]);
    lines.push(`What limits it: 1 % less of ${parts.map(([words, part]) => `${words} saves ${show(part, 2)} %`).join(", of ")}.
      However many workers, and where communication is free, ${duration(s.n_inf * s.delta)} remain: <i>n</i><sub>∞</sub> updates of <i>δ</i>.`);
    const exchange = model.allReduce(s, L);
    if (exchange > 0) lines.push(`Of each update ${show(exchange * 1e3, 2)} milliseconds are communication.`);
    if (best < L)
      lines.push(
        `The best batch, ${size(best)}, is less than one example for each of ${show(L)} workers${L > 1 ? ": take fewer" : ""}.`,
      );
    else if (known && (best < from || best > to))
      lines.push(`<strong>But it lies ${best < from ? "below" : "above"} the batch sizes that the law was fitted to, ${show(from)} to ${show(to)},
        where nothing says that the law holds: ${
          best < from / 2 || best > 2 * to
            ? "it is too far from them for any advice; run batch sizes nearer to it"
            : `the advice is ${show(best < from ? from : to)}`
        }.</strong>`);
    if (state.machine && asRecorded(["pole"]))
      lines.push("<strong>The seconds are another network's, on another machine: a what-if, not a prediction.</strong>");
    else if (asFitted() && !asRecorded(LAW) && asRecorded(MACHINE))
      lines.push(`<strong>The seconds are those of ${state.preset}'s network on ${presetOf(state.preset).cpu}: put in your own.</strong>`);
    return lines.map((line) => `<p>${line}</p>`).join("");
  }

  // Drawings: batch sizes or workers on an axis in powers of two, the other one in powers of ten
  const widths = new Map();
  function chart(svg, [first, last], [low, high], { x, title, height, left }, content) {
    if (!widths.has(svg)) widths.set(svg, svg.clientWidth || 640); // asking makes the browser lay the page out
    const width = widths.get(svg),
      tall = height(width);
    const [right, top, bottom] = [width - 18, title ? 58 : 40, tall - (x ? 44 : 24)];
    const X = (M) => left + ((Math.log2(M) - first) / (last - first)) * (right - left);
    const Y = (T) => bottom - (Math.log10(T / low) / Math.log10(high / low)) * (bottom - top);
    const every = Math.ceil(((last - first) * (18 + 7 * show(2 ** last, 15).length)) / (right - left));
    const octaves = Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, j) => 2 ** (first + j * every));
    const decades = Array.from({ length: 40 }, (_, j) => 10 ** (j - 20)).filter((one) => one >= low / 10 && one <= high);
    const values = (steps) =>
      decades.flatMap((one) => steps.map((step) => rounded(step * one))).filter((T) => T >= low && T <= high);
    const ticks = [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]].map(values).find((found, j) => found.length > 2 || j === 3);
    svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    svg.innerHTML = [
      ...ticks.map(
        (T) =>
          `<path class="grid" d="M${left} ${Y(T)}H${right}"/><text x="${left - 6}" y="${Y(T) + 4}" class="end">${tick(T)}</text>`,
      ),
      ...octaves.map(
        (M) =>
          `<path class="grid" d="M${X(M)} ${top}V${bottom}"/><text x="${X(M)}" y="${bottom + 18}" class="middle">${show(M, 15)}</text>`,
      ),
      title ? `<text class="title" x="2" y="14">${title}</text>` : "",
      x ? `<text x="${(left + right) / 2}" y="${tall - 6}" class="middle">${x}</text>` : "",
      content({ X, Y, left, right, top, bottom }),
    ].join("");
  }
  const path = (kind, { X, Y }, T, from, to, points = 64) =>
    from < to
      ? `<path class="${kind}" d="M${Array.from({ length: points + 1 }, (_, j) => from * (to / from) ** (j / points))
          .map((M) => `${X(M).toFixed(1)} ${Y(T(M)).toFixed(1)}`)
          .join("L")}"/>`
      : "";
  const mark = ({ X, top, bottom, left, right }, kind, M, y, words, [from, to]) =>
    M >= from && M <= to
      ? `<path class="${kind}" d="M${X(M)} ${y + 4}V${bottom}"/>
        <text x="${X(M)}" y="${y}" class="${X(M) < (left + right) / 2 ? "" : "end"}">${words}</text>`
      : "";

  function span(here) {
    // of batch sizes: what every panel shows
    const sizes = asFitted() ? fitted.sizes : asRecorded(LAW) ? presetOf(state.preset).fitted : null,
      best = model.optimum(here);
    const marked = [model.critical(here), model.breakEven(here), best, state.batch, ...model.within(here, 0.05), ...(sizes || [])];
    const seen = marked.filter((M) => M > 0 && M < 1e12);
    const first = Math.max(0, Math.floor(Math.log2(Math.min(...seen, 2 ** 20)) - 0.5));
    const last = Math.min(Math.max(Math.ceil(Math.log2(Math.max(...seen, 1)) + 0.5), first + 4), first + 30);
    return { first, last, from: 2 ** first, to: 2 ** last, start: Math.max(2 ** first, here.pole * 1.08), sizes, best };
  }
  const PANEL = { height: (width) => (width > 330 ? 0.5 * width : Math.max(0.8 * width, 128)), left: 48 };
  function drawPanel(id, title, { first, last, from, to, start, sizes }, value, kind, low, content) {
    const clip = (M) => Math.min(Math.max(M, start), to),
      high = Math.max(value(start), value(to), 1.5 * low);
    if (!(low > 0 && high < Infinity)) return $(id).replaceChildren();
    chart($(id), [first, last], [low / (id === "curve" ? 2 : 1.35), high * 1.05], { title, x: id === "curve" ? "batch size M" : "", ...PANEL }, (place) => {
      const { X, Y, bottom } = place,
        M = state.batch;
      const yours =
        M >= start && M <= to
          ? `<path class="now" d="M${X(M)} ${place.top}V${bottom}"/><circle class="now" cx="${X(M)}" cy="${Y(value(M))}" r="5"/>`
          : "";
      return (
        yours +
        path(`${kind} beyond`, place, value, start, to, 40) +
        path(kind, place, value, sizes ? clip(sizes[0]) : start, sizes ? clip(sizes.at(-1)) : to) +
        content(place, clip, [from, to])
      );
    });
  }
  function drawCurve(s) {
    const here = model.withLearners(s, state.learners),
      shown = span(here),
      N = (M) => model.updates(here, M),
      t = (M) => 1e3 * model.updateSeconds(here, M),
      T = (M) => model.seconds(here, M);
    const { best, to, start } = shown,
      floor = ({ Y, left, right, bottom }, value, words) =>
        value > 0 && Y(value) <= bottom ? `<path class="floor" d="M${left} ${Y(value)}H${right}"/><text class="end" x="${right}" y="${Y(value) - 5}">${words}</text>` : "";
    drawPanel("updates", "N, updates: they fall", shown, N, "of-updates", Math.min(N(to), s.n_inf || Infinity), (place, _, ends) =>
      floor(place, s.n_inf, "<tspan>n∞</tspan>") + mark(place, "algorithm", model.critical(here), 34, `α/n∞: ${size(model.critical(here))}`, ends),
    );
    drawPanel("seconds", "t, ms an update: it grows", shown, t, "of-seconds", t(start), (place, _, ends) =>
      mark(place, "machine", model.breakEven(here), 34, `δ/γ: ${size(model.breakEven(here))}`, ends),
    );
    const low = T(Math.min(Math.max(best || start, start), to));
    drawPanel("curve", "T = N t, seconds: a bowl", shown, T, "curve", low, (place, clip, ends) => {
      const { X, Y, bottom } = place,
        range = model.within(here, 0.05);
      return (
        path("curve within", place, T, clip(range[0]), clip(range[1])) +
        mark(place, "algorithm", model.critical(here), 34, `algorithm: ${size(model.critical(here))}`, ends) +
        mark(place, "machine", model.breakEven(here), 50, `machine: ${size(model.breakEven(here))}`, ends) +
        (best >= start && best <= to
          ? `<path class="optimum" d="M${X(best)} ${Y(T(best)) - 8}l7 8l-7 8l-7 -8z"/>
          <text x="${X(best)}" y="${Math.min(Y(T(best)) + 24, bottom - 4)}" class="middle">best: ${size(best)}</text>`
          : "")
      );
    });
  }

  function drawScaling(s) {
    const ways = ["strong", "weak", "optimal"],
      values = LEARNERS.map((L) => ways.map((way) => model[way](s, L)));
    $("scaling").innerHTML = LEARNERS.map(
      (L, j) =>
        `<tr>${[show(L), size(model.optimum(model.withLearners(s, L))), ...values[j].map((T) => show(T))]
          .map((text) => `<td>${text}</td>`)
          .join("")}</tr>`,
    ).join("");
    $("useful").textContent = `Twice as many workers save less than 5 % from L = ${show(model.useful(s))} on.`;
    const low = Math.min(...values.flat()),
      high = Math.max(...values.flat());
    if (!(low > 0 && high < Infinity)) return $("projection").replaceChildren();
    const look = { x: "workers L", height: (width) => Math.min(Math.max(0.62 * width, 280), 420), left: 60 };
    chart($("projection"), [0, 6], [low / 1.1, high * 1.1], look, (place) => {
      const { X, left, right, top, bottom } = place,
        share = (right - left) / 3;
      return (
        (state.learners <= 64 ? `<path class="now" d="M${X(state.learners)} ${top}V${bottom}"/>` : "") +
        ways
          .map(
            (way, j) =>
              path(`curve ${way}`, place, (L) => model[way](s, L), 1, 64, 48) +
              `<path class="curve ${way}" d="M${left + j * share} 12h26"/><text x="${left + j * share + 32}" y="16">${way}</text>`,
          )
          .join("") +
        `<text class="end" x="${right}" y="32">seconds, a projection</text>`
      );
    });
  }

  // The card: the answer as a picture that stands alone
  function card(s) {
    const here = model.withLearners(s, state.learners),
      shown = { ...span(here) },
      T = (M) => model.seconds(here, M),
      best = shown.best;
    if (!(best > 0 && best < 1e15)) return "";
    const [low, high] = [T(best), Math.max(T(shown.start), T(shown.to))];
    const place = {
      X: (M) => 600 + (Math.log(M / shown.from) / Math.log(shown.to / shown.from)) * 540,
      Y: (value) => 500 - (Math.log(value / low) / Math.log(high / low)) * 330,
    };
    const line = (y, px, words, more = "") => `<text x="60" y="${y}" font-size="${px}" ${more}>${words}</text>`,
      task = presets.find((one) => one.name === state.preset).title,
      whose = `${asFitted() ? "My runs" : asRecorded(LAW) ? `${task}, as recorded` : `${task}, changed`}${state.timing ? ", my timings" : state.machine ? `, seconds of ${machines.find((one) => one.name === state.machine).title}` : ""}`,
      range = model.within(here, 0.05);
    return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 630" width="1200" height="630" font-family="system-ui, sans-serif" fill="#1b1b1b">
      <rect width="1200" height="630" fill="#fff"/>
      ${line(90, 34, whose.replace(/&/g, "&amp;").replace(/</g, "&lt;"))}
      ${line(215, 92, `M ≈ ${size(best)}`, 'font-weight="700" fill="#027a59"')}
      ${line(275, 34, `${within(range)} cost at most 5 % more`)}
      ${line(330, 34, `${duration(low)} of updates`)}
      ${line(430, 28, `N = ${show(s.n_inf)} + ${show(s.alpha)} / ${s.pole > 0 ? `(M − ${size(s.pole)})` : "M"} updates`)}
      ${line(475, 28, s.p === 1 ? `t = ${show(1e3 * here.delta)} + ${show(1e3 * here.gamma)} M milliseconds` : `δ = ${show(1e3 * here.delta)} ms, γ = ${show(1e3 * here.gamma)} ms, p = ${show(s.p, 2)}`)}
      ${line(590, 22, "Batch size and training time: a law of two numbers, two of the machine, one stopwatch", 'fill="#555"')}
      <g fill="none" stroke="#029e73">${path('" stroke-width="4', place, T, shown.start, shown.to)}${path('" stroke-width="14" stroke-linecap="round', place, T, Math.max(range[0], shown.start), Math.min(range[1], shown.to))}</g>
      <text x="870" y="560" font-size="26" text-anchor="middle">batch size, ${show(shown.from, 15)} to ${show(shown.to, 15)}</text>
      <text x="600" y="140" font-size="26">training time, up to ${show(high / low, 2)} times the least</text></svg>`;
  }
  function makeCard() {
    const picture = card(setting());
    if (!picture) return ($("copied").textContent = "There is no best batch size to show.");
    const address = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(picture)}`,
      image = new Image();
    image.alt = `Best batch size about ${size(model.optimum(model.withLearners(setting(), state.learners)))} examples, as a card`;
    image.width = 600;
    image.addEventListener("load", () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 1200, height: 630 });
      canvas.getContext("2d").drawImage(image, 0, 0, 1200, 630);
      $("png").href = canvas.toDataURL("image/png");
    });
    image.src = $("svg").href = address;
    $("card").replaceChildren(image);
    $("carded").hidden = false;
    remember(false);
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
    if (machines.some((one) => one.name === given.get("machine"))) state.machine = given.get("machine");
    state.table = given.get("table") || "";
    state.timing = given.get("timing") || "";
    fitted = null;
    ["fit", "advice"].forEach((id) => $(id).replaceChildren());
    $("refused").textContent = "";
    $("carded").hidden = true;
    if (state.timing) $("timing").value = state.timing;
    if (state.table) {
      $("table").value = state.table;
      fitTable(state.table, false);
      if (state.timing) advise(false);
    }
    update(false);
  }
  function remember(push) {
    if (address() !== location.hash) history[push ? "pushState" : "replaceState"](null, "", address());
  }

  // What readers do
  const numberOf = (text) => (/^(inf|infinity|∞)$/i.test(text) ? Infinity : text === "" ? NaN : Number(text));
  const set = (id, value) => {
    state[id] = value;
    if (MACHINE.includes(id)) state.machine = "";
    const base = recorded(state.preset);
    if (id !== "rate") return;
    const { n_inf, alpha, pole } = value === base.rate ? base : model.atRate(curveOf(), value);
    Object.assign(state, { n_inf, alpha, pole });
    LAW.forEach((name) => errors.delete(name));
  };
  function take(id, text) {
    // a value that was typed, or one of the address
    const typed = text.trim(),
      value = numberOf(typed),
      largest = curveOf()?.largest;
    const [allowed, right] =
      id === "learners"
        ? ["a whole number from 1 to 1,048,576", Number.isInteger(value) && value >= 1 && value <= 2 ** 20]
        : id === "rate"
          ? [`a number more than 0 and at most ${largest}, the largest rate at which every run got there`, value > 0 && value <= largest]
          : id === "p"
            ? ["a number more than 0; inf for the larger of the two", value > 0]
            : ["bandwidth", "batch"].includes(id)
              ? ["a finite number more than 0", value > 0 && value < Infinity]
              : ["a finite number of at least 0", value >= 0 && value < Infinity];
    if (right) {
      errors.delete(id);
      const base = recorded(state.preset)[id]; // of which the field shows four digits
      set(id, value === rounded(base) ? base : value);
    } else if (id !== "rate" || largest) errors.set(id, `${id} = '${typed}' is not allowed; allowed: ${allowed}`);
  }
  const written = (value) => String(value === rounded(value, 6) ? value : rounded(value));
  function update(changed = true) {
    const s = setting(),
      curve = curveOf();
    $("preset").value = state.preset;
    $("machine").value = state.machine;
    $("shape").value = state.shape;
    $("of-network").hidden = state.shape === "none";
    $("rate").parentElement.hidden = !curve;
    if (curve) $("rate-slider").min = Math.log10(curve.largest / 100);
    if (curve) $("rate-slider").max = Math.log10(curve.largest);
    for (const [id, , , unit, from, to, factor] of QUANTITIES) {
      const slider = $(`${id}-slider`),
        field = $(id),
        [least, most] = id === "rate" ? [slider.min, slider.max] : [from, to];
      slider.value = Math.min(Math.max(factor ? Math.log10(state[id]) : state[id], least), most);
      slider.setAttribute("aria-valuetext", `${show(state[id])} ${unit}`);
      field.setAttribute("aria-invalid", errors.has(id));
      if (!errors.has(id) && numberOf(field.value) !== state[id] && field.value !== written(state[id]))
        field.value = written(state[id]);
    }
    $("error").textContent = [...errors.values()].join(". ");
    const here = model.withLearners(s, state.learners);
    $("brief").textContent = errors.size
      ? "A number is not allowed"
      : inShort(here);
    drawCurve(s);
    clearTimeout(later);
    // Once the hand rests: what is announced, the projection, and the address.
    later = setTimeout(() => settle(s, changed), 200);
  }
  function settle(s, changed) {
    const before = errors.size ? "<p><strong>For the last numbers that are allowed:</strong></p>" : "";
    const texts = { about: aboutPreset(), result: before + result(s) },
      here = model.withLearners(s, state.learners);
    drawScaling(s);
    const best = size(model.optimum(here));
    $("curve").setAttribute(
      "aria-label",
      `Training time against the batch size, a bowl whose least value, ${duration(model.least(here))}, is at ${best} examples`,
    );
    $("updates").setAttribute("aria-label", `Updates against the batch size: they fall towards ${show(s.n_inf)}`);
    $("seconds").setAttribute(
      "aria-label",
      `Milliseconds of an update against the batch size: they grow from ${show(1e3 * here.delta)}`,
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
  function advise(adopt = true) {
    // both tables: the law and the seconds into the calculator, and the package's advice with its regret
    try {
      const { runs } = readTable($("table").value),
        timings = readTimings($("timing").value),
        found = batchtimeAdvice.recommend(runs, timings),
        bound = show(100 * found.regret, 2);
      if (adopt) {
        const { delta, gamma } = model.fitSeconds(timings),
          long = $("table").value.length + $("timing").value.length > LONGEST_LINK;
        MACHINE.forEach((id) => errors.delete(id));
        Object.assign(state, { delta: rounded(1e3 * delta), gamma: rounded(1e3 * gamma), p: 1, machine: "" });
        state.timing = long ? "" : $("timing").value;
        fitTable($("table").value);
      }
      $("advice").textContent =
        (found.refused
          ? `No advice: batch size ${found.batch_size} may take ${bound} % longer than the best (95 %), more than 15 %.`
          : `Batch size ${found.batch_size}, at most ${bound} % slower than the best (95 %): ${duration(found.seconds)}; ${found.within.map((M) => show(M)).join(" to ")} within 5 %.`) +
        (found.typical ? " With one run at each size a typical scatter is assumed: add seeds." : "");
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
      fitted = { ...model.fit(runs), pole: 0 };
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

  const example = {
    table: "batch_size,updates\n8,1420\n8,1310\n8,1380\n64,850\n64,810\n64,830\n512,760\n512,740\n512,735\n",
    timing: "batch_size,seconds\n8,0.0030\n8,0.0031\n64,0.0070\n64,0.0071\n512,0.0390\n512,0.0391\n",
  };
  for (const [id, group, label, unit, from, to, factor] of QUANTITIES) {
    $(`of-${group}`).insertAdjacentHTML(
      "beforeend",
      `<div class="quantity"><label for="calculator-${id}-slider">${label} <span>(${unit})</span></label>
      <input type="range" id="calculator-${id}-slider" min="${from}" max="${to}" step="${id === "learners" ? 1 : 0.01}">
      <input type="text" inputmode="decimal" autocomplete="off" id="calculator-${id}" aria-label="${id}, ${unit}" aria-describedby="calculator-error"></div>`,
    );
    $(`${id}-slider`).addEventListener("input", ({ target }) => {
      errors.delete(id);
      const value = factor ? rounded(10 ** target.value, 3) : Number(target.value);
      set(id, id === "rate" ? Math.min(value, curveOf().largest) : value);
      update();
    });
    $(id).addEventListener("input", ({ target }) => {
      take(id, target.value);
      update();
    });
  }
  $("machine").insertAdjacentHTML(
    "beforeend",
    machines.map(({ name, title }) => `<option value="${name}">${title}</option>`).join(""),
  );
  $("preset").innerHTML = presets.map(({ name, title }) => `<option value="${name}">${title}</option>`).join("");
  const choose = () => {
    const { batch, learners, shape, latency, bandwidth, payload } = state;
    ALL.concat("preset", "rate").forEach((id) => errors.delete(id));
    state = { ...recorded($("preset").value), batch, learners, shape, latency, bandwidth, payload };
    fitted = null;
    ["fit", "advice"].forEach((id) => $(id).replaceChildren());
    update(false);
    remember(true);
  };
  $("machine").addEventListener("change", ({ target }) => {
    const one = machines.find(({ name }) => name === target.value) || presetOf(state.preset);
    MACHINE.forEach((id) => errors.delete(id));
    Object.assign(state, {
      machine: target.value,
      delta: one.delta * 1e3,
      gamma: one.gamma * 1e3,
      p: one.p === null ? Infinity : one.p,
      timing: "",
    });
    update(false);
    remember(true);
  });
  $("preset").addEventListener("change", choose);
  $("again").addEventListener("click", choose);
  $("shape").addEventListener("change", ({ target }) => {
    state.shape = target.value;
    update();
  });
  $("advise").addEventListener("click", () => advise());
  $("example").addEventListener("click", () => {
    for (const [id, text] of Object.entries(example)) $(id).value = text;
    advise();
  });
  $("make").addEventListener("click", makeCard);
  $("ask").addEventListener("click", () => fitTable($("table").value));
  $("file").addEventListener("change", async ({ target }) => {
    $("table").value = await target.files[0].text();
    fitTable($("table").value);
  });
  $("seconds-file").addEventListener("change", async ({ target }) => {
    $("timing").value = await target.files[0].text();
    advise();
  });
  $("copy").addEventListener("click", () => {
    remember(false);
    const failed = () => ($("copied").textContent = "This browser lets no page copy: take the address from its bar.");
    if (!navigator.clipboard) return failed();
    navigator.clipboard.writeText(location.href).then(() => ($("copied").textContent = "Copied."), failed);
  });
  window.addEventListener("resize", () => {
    widths.clear();
    drawCurve(setting());
    drawScaling(setting());
  });
  window.addEventListener("popstate", () => (location.hash === "" || location.hash.includes("=")) && restore());
  $("all").hidden = false;
  restore();
  return { model, presets, machines, address };
})();
