/* The class in a browser: recorded students, the engine of the calculator, questions that check themselves. */
"use strict";
(() => {
  const { students, seconds, guesses } = JSON.parse(document.getElementById("lesson-data").textContent);
  const model = batchtimeModel,
    $ = (id) => document.getElementById(`lesson-${id}`);
  const show = (value, digits = 3) => Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });
  const machine = { ...model.fitSeconds(seconds), p: 1 };
  const laws = new Map(students.map(({ student, runs }) => [student, model.fit(runs)]));
  const together = model.fit(students.flatMap(({ runs }) => runs));
  const setting = (law) => ({ n_inf: law.n_inf, alpha: law.alpha, ...machine });
  const ends = ([low, high]) => (low === null || high === null ? "open" : `${show(low)} to ${show(high)}`);
  const mine = () => laws.get(Number($("student").value));

  function draw(runs, law) {
    const svg = $("updates"),
      width = svg.clientWidth || 340,
      height = 230,
      counts = runs.map(([, N]) => N),
      [low, high] = [0.8 * Math.min(...counts, law.n_inf), 1.3 * Math.max(...counts)],
      [first, last] = [Math.log2(runs[0][0]), Math.log2(runs.at(-1)[0])];
    const X = (M) => 48 + ((Math.log2(M) - first) / (last - first)) * (width - 66),
      Y = (N) => height - 40 - (Math.log(N / low) / Math.log(high / low)) * (height - 60);
    const sizes = Array.from({ length: 61 }, (_, j) => 2 ** (first + (j / 60) * (last - first)));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.innerHTML = `${runs.map(([M], j) => (j % 2 ? "" : `<text class="middle" x="${X(M)}" y="${height - 22}">${M}</text>`)).join("")}
      ${[Math.min(...counts), Math.max(...counts)].map((N) => `<text class="end" x="42" y="${Y(N) + 4}">${show(N)}</text>`).join("")}
      <text class="middle" x="${width / 2}" y="${height - 4}">batch size M</text><text x="2" y="14">updates N</text>
      <path class="floor" d="M48 ${Y(law.n_inf)}H${width - 18}"/>
      <path class="law" d="M${sizes.map((M) => `${X(M).toFixed(1)} ${Y(law.n_inf + law.alpha / M).toFixed(1)}`).join("L")}"/>
      ${runs.map(([M, N]) => `<circle cx="${X(M)}" cy="${Y(N)}" r="4"/>`).join("")}`;
  }
  function choose() {
    const { runs } = students.find(({ student }) => student === Number($("student").value)),
      law = mine();
    $("runs").innerHTML = runs
      .map(([M, N]) => `<tr><td>${M}</td><td>${N}</td><td>${show(1e3 * seconds.find(([size]) => size === M)[1])}</td></tr>`)
      .join("");
    $("law").innerHTML =
      `Your law is <i>N</i>(<i>M</i>) = ${show(law.n_inf)} + ${show(law.alpha)} / <i>M</i>; <i>n</i><sub>∞</sub> is ${ends(law.intervals.n_inf)} with 95 %.`;
    $("machine").innerHTML =
      `An update takes <i>δ</i> = ${show(1e3 * machine.delta)} ms, and <i>γ</i> = ${show(1e3 * machine.gamma)} ms more for each example: <i>T</i>(<i>M</i>) = (${show(law.n_inf)} + ${show(law.alpha)} / <i>M</i>) · (${show(1e3 * machine.delta)} + ${show(1e3 * machine.gamma)} <i>M</i>) ms.`;
    for (const id of ["bend", "best"]) say($(id), "");
    draw(runs, law);
  }
  function say(form, words, right = null) {
    const said = form.querySelector("output");
    said.textContent = words;
    said.className = right === null ? "" : right ? "right" : "wrong";
  }
  const number = (form, id, answer, hint, reason) => {
    const given = Number($(id).value.trim().replace(",", "."));
    if (!(given > 0)) return say(form, "Write a number more than 0.", false);
    const off = given / answer - 1;
    say(form, Math.abs(off) <= 0.1 ? `Right: ${show(answer)}. ${reason}` : `Not yet, that is too ${off > 0 ? "large" : "small"}. ${hint}`, Math.abs(off) <= 0.1);
  };
  const chosen = (form) => form.querySelector("input:checked")?.value;
  const choice = (form, reasons) => {
    const given = chosen(form);
    if (given === undefined) return say(form, "Choose one.", false);
    say(form, reasons[given], given === "right");
  };
  const checks = {
    guess(form) {
      const given = chosen(form);
      if (given === undefined) return say(form, "Choose one.", false);
      const times = guesses.map((M) => [M, model.updates(together, M) * seconds.find(([size]) => size === M)[1]]),
        least = Math.min(...times.map(([, T]) => T)),
        best = times.find(([, T]) => T === least)[0];
      say(
        form,
        `${Number(given) === best ? "So it is here" : `Here it is ${best}`}: ${times.map(([M, T]) => `${M} takes ${show(T / least, 2)}`).join(", ")} times as long as the best of the three.`,
        Number(given) === best,
      );
    },
    bend: (form) =>
      number(form, "bend-value", mine().alpha / mine().n_inf, "Where are the two terms of your law equal?",
        "There N is twice n∞, and doubling leaves three halves of it."),
    best: (form) =>
      number(form, "best-value", model.optimum(setting(mine())), "Of four terms only two depend on M; where are they equal?",
        "It is the square root of αδ over n∞γ."),
    rate: (form) =>
      choice(form, {
        right: "Right: where steps are small, learning rate times updates stays at large batches, and the examples that noise costs stay at small ones. So α / n∞ doubles, up to the largest rate that trains.",
        both: "Not quite: at small batches twice the step is also twice the noise, so the examples needed stay as they are.",
        alpha: "The other way round: large batches have no noise to speak of, and there twice the step is half the way.",
      }),
    exit: (form) =>
      choice(form, {
        right: "Right: γ halves, so the root grows by √2; δ and n∞ stay as they are, and their part of the time with them.",
        half: "The best batch is a square root of δ/γ, and the fixed part of an update does not get shorter.",
        stay: "The machine's batch size δ/γ doubles, so the best batch moves.",
      }),
  };
  for (const [id, check] of Object.entries(checks))
    $(id).addEventListener("submit", (event) => {
      event.preventDefault();
      check(event.target);
    });
  $("student").innerHTML = students.map(({ student }) => `<option>${student}</option>`).join("");
  $("student").addEventListener("change", choose);
  $("class").innerHTML = students
    .map(({ student }) => {
      const law = laws.get(student);
      return `<tr><td>${student}</td><td>${show(law.n_inf)}</td><td>${ends(law.intervals.n_inf)}</td><td>${show(law.alpha / law.n_inf, 2)}</td><td>${show(model.optimum(setting(law)), 2)}</td></tr>`;
    })
    .join("");
  const holding = students.filter(({ student }) => {
    const [low, high] = laws.get(student).intervals.n_inf;
    return (low ?? 0) <= together.n_inf && together.n_inf <= (high ?? Infinity);
  }).length;
  $("pool").textContent =
    `All runs together say ${show(together.n_inf)}. Of ${students.length} students' own 95 % intervals ${holding} hold it: who would have believed theirs?`;
  document.getElementById("lesson").hidden = false;
  choose();
  window.addEventListener("resize", choose);
})();
