// Makes the pages nicer; every one of them is complete without it.
"use strict";

function sizeText(bytes) {
  const mebibytes = bytes / 2 ** 20;
  return mebibytes >= 1 ? `${mebibytes.toFixed(1)} MiB` : `${Math.max(1, Math.round(bytes / 1024))} KiB`;
}

function problemOf(files, form) {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const mostBytes = Number(form.dataset.mostBytes);
  const mostFilms = Number(form.dataset.mostFilms);
  if (files.length > mostFilms) return `${files.length} films are chosen; send at most ${mostFilms} at a time.`;
  if (total > mostBytes) return `The films have ${sizeText(total)}; send at most ${sizeText(mostBytes)} at a time.`;
  return "";
}

function setUpUpload(form) {
  const input = form.querySelector("input[type=file]");
  const list = form.querySelector(".chosen");
  const problem = form.querySelector("[data-problem]");
  const button = form.querySelector("button[type=submit]");
  const working = form.querySelector(".working");

  function show() {
    const files = [...input.files];
    list.replaceChildren(...files.map((file) => {
      const item = document.createElement("li");
      const size = document.createElement("small");
      size.textContent = sizeText(file.size);
      item.append(file.name, " ", size);
      return item;
    }));
    list.hidden = files.length === 0;
    problem.textContent = problemOf(files, form);
    problem.hidden = !problem.textContent;
    button.disabled = !problem.hidden;
    button.textContent = files.length > 1 ? `Grade ${files.length} films` : "Grade";
  }

  for (const kind of ["dragenter", "dragover"]) input.addEventListener(kind, () => input.classList.add("over"));
  for (const kind of ["dragleave", "drop"]) input.addEventListener(kind, () => input.classList.remove("over"));
  input.addEventListener("change", show);
  form.addEventListener("submit", () => {
    button.disabled = true;
    working.hidden = false;
    working.querySelector("span").textContent = input.files.length > 1 ? `Grading ${input.files.length} films` : "Grading";
  });
  // Coming back with the browser's Back button finds the form as it was left.
  window.addEventListener("pageshow", () => {
    working.hidden = true;
    show();
  });
}

async function copyText(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    button.textContent = "Selected: press Ctrl+C";
  }
}

document.querySelectorAll("form.upload").forEach(setUpUpload);
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copyText(button));
}
