// Adds the browser's own time to the times of a page. Nothing else needs a script.
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
