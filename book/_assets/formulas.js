// A formula that is wider than its line, as on a phone, is made as small as it takes to be read without scrolling.
(() => {
  const LEAST = 0.6; // of its size; below that it is scrolled for
  const SLACK = 5; // pixels by which an italic letter leans out of its box
  const widths = new WeakMap();

  function fit(formula) {
    if (formula.clientWidth === widths.get(formula)) return;
    formula.style.fontSize = "";
    const whole = parseFloat(getComputedStyle(formula).fontSize);
    let size = whole;
    while (formula.scrollWidth > formula.clientWidth + SLACK && size > LEAST * whole) {
      size = Math.max(LEAST * whole, 0.95 * size);
      formula.style.fontSize = `${size}px`;
    }
    widths.set(formula, formula.clientWidth);
  }

  window.addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    const seen = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));
    document.querySelectorAll("article .math").forEach((formula) => seen.observe(formula));
  });
})();
