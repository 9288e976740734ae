/* Plays the race of the first page: the picture as it stands is how it ends. A classic script; it asks for no file. */
"use strict";
(() => {
  const picture = document.querySelector("#race svg"),
    button = document.getElementById("race-play"),
    clock = document.getElementById("race-clock"),
    { lanes } = JSON.parse(document.getElementById("race-data").textContent);
  const LASTS = 9; // seconds that it plays
  const tracks = [...picture.querySelectorAll(".lane")].map((group, j) => {
    const line = group.querySelector(".line"),
      whole = line.getAttribute("d"),
      points = whole.slice(1).split("L").map((pair) => pair.split(" ").map(Number));
    return { group, line, whole, points, seconds: lanes[j].points.map(([s]) => s), end: lanes[j].seconds };
  });
  const longest = Math.max(...tracks.map((track) => track.end));
  let now = longest,
    before = null;

  function place({ points, seconds }, at) {
    // how far a lane has come: its points so far, and one between two of them
    const next = seconds.findIndex((s) => s > at);
    if (next < 0) return points;
    if (next === 0) return [points[0]];
    const share = (at - seconds[next - 1]) / (seconds[next] - seconds[next - 1]),
      [a, b] = [points[next - 1], points[next]];
    return [...points.slice(0, next), [0, 1].map((k) => a[k] + share * (b[k] - a[k]))];
  }
  function show() {
    for (const track of tracks) {
      const done = now >= track.end,
        come = done ? track.points : place(track, now),
        [x, y] = come.at(-1);
      track.line.setAttribute("d", done ? track.whole : `M${come.map((one) => one.join(" ")).join("L")}`);
      track.group.querySelector("circle").setAttribute("cx", x);
      track.group.querySelector("circle").setAttribute("cy", y);
      track.group.classList.toggle("running", !done);
    }
    clock.textContent = `${now.toFixed(1)} s`;
  }
  function frame(time) {
    if (before === null) return;
    now = Math.min(now + ((time - before) / 1000) * (longest / LASTS), longest);
    before = time;
    show();
    if (now < longest) requestAnimationFrame(frame);
    else rest("Play the race again");
  }
  function rest(words) {
    before = null;
    button.textContent = words;
  }
  function play() {
    if (now >= longest) now = 0;
    button.textContent = "Pause";
    before = performance.now();
    show();
    requestAnimationFrame(frame);
  }
  button.addEventListener("click", () => (before === null ? play() : rest("Go on")));
  button.hidden = false;
  clock.textContent = `${longest.toFixed(1)} s`;
  window.addEventListener("beforeprint", () => {
    now = longest;
    rest("Play the race again");
    show();
  });
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
})();
