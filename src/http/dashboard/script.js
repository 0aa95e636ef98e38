// Adds the browser's own time to the times of a page, and loads pages that show the present again. Everything else works
// without a script.
"use strict";
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
for (const element of document.querySelectorAll("time[datetime]")) {
  element.title = `${format.format(new Date(element.dateTime))}, by your clock`;
}
// A press of a button that works for a while is not to be repeated.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button")) {
      button.disabled = true;
      button.textContent = "Working …";
    }
  });
}
// A page that shows the present is loaded again, except while somebody reads or fills in something on it.
const seconds = Number(document.body.dataset.refresh);
if (seconds > 0) {
  const isBusy = () =>
    document.hidden ||
    document.querySelector("details[open], input:checked") !== null ||
    document.activeElement?.matches("input, select, textarea, button, a, summary") ||
    [...document.querySelectorAll("input[type=search]")].some((field) => field.value !== field.defaultValue);
  setInterval(() => {
    if (!isBusy()) location.reload();
  }, seconds * 1000);
}
