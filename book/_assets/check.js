/* Exercises that check themselves. A classic script; it asks for no file. */
"use strict";
for (const form of document.querySelectorAll("form.check-answer")) {
  const [field, said] = ["input", "output"].map((part) => form.querySelector(part)),
    [answer, within] = [form.dataset.answer, form.dataset.within].map(Number);
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Number(field.value.trim().replace(/,(?=\d{3}(\D|$))/g, "").replace(",", ".").replace("%", "e-2"));
    const right = Math.abs(given / answer - 1) <= within;
    said.textContent =
      field.value.trim() === "" || Number.isNaN(given)
        ? "Write a number."
        : right
          ? "Right."
          : `Not yet: that is too ${given > answer ? "large" : "small"}.`;
    said.className = right ? "right" : "wrong";
  });
}
