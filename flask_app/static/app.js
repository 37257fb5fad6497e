// Adds comfort to the pages. Each page is complete without it.
"use strict";
(() => {
  function sizeText(bytes) {
    const mebibytes = bytes / 2 ** 20;
    return mebibytes >= 1 ? `${mebibytes.toFixed(1)} MiB` : `${Math.max(1, Math.round(bytes / 1024))} KiB`;
  }

  function problemOf(files, form) {
    const total = files.reduce((sum, file) => sum + file.size, 0);
    const mostBytes = Number(form.dataset.mostBytes);
    const mostFilms = Number(form.dataset.mostFilms);
    if (files.length > mostFilms) return `You have chosen ${files.length} films. Send at most ${mostFilms} at a time.`;
    if (total > mostBytes) return `The films have ${sizeText(total)} together. Send at most ${sizeText(mostBytes)} at a time.`;
    return "";
  }

  function setUpUpload(form) {
    const input = form.querySelector("input[type=file]");
    const list = form.querySelector(".chosen");
    const problem = form.querySelector("[data-problem]");
    const button = form.querySelector("button[type=submit]");
    const working = form.querySelector(".working");
    const bar = working.querySelector("progress");
    const words = working.querySelector("span");

    function tell(text) {
      problem.textContent = text;
      problem.hidden = !text;
    }

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
      tell(problemOf(files, form));
      button.disabled = !problem.hidden;
      button.textContent = files.length > 1 ? `Grade ${files.length} films` : "Grade";
    }

    function rest(text) {
      working.hidden = true;
      button.disabled = false;
      tell(text);
    }

    // Sends the films and shows the progress. The server answers with the address of the result.
    function send() {
      const grading = input.files.length > 1 ? `Grading ${input.files.length} films` : "Grading";
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("Accept", "application/json");
      request.upload.addEventListener("progress", (event) => {
        if (!event.lengthComputable) return;
        const share = event.loaded / event.total;
        if (share < 1) bar.value = share;
        else bar.removeAttribute("value");
        words.textContent = share < 1 ? `Sending, ${Math.round(100 * share)}%` : grading;
      });
      request.addEventListener("load", () => {
        let answer = {};
        try { answer = JSON.parse(request.responseText); } catch { /* a proxy's own page */ }
        if (request.status === 201 && answer.result) location.assign(answer.result);
        else rest(answer.detail || `The server answered with status ${request.status}. Try again with fewer or smaller films.`);
      });
      request.addEventListener("error", () => rest("The server cannot be reached, or it has closed the connection. Try again."));
      bar.removeAttribute("value");
      words.textContent = grading;
      working.hidden = false;
      button.disabled = true;
      tell("");
      request.send(new FormData(form));
    }

    for (const kind of ["dragenter", "dragover"]) input.addEventListener(kind, () => input.classList.add("over"));
    for (const kind of ["dragleave", "drop"]) input.addEventListener(kind, () => input.classList.remove("over"));
    input.addEventListener("change", show);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    // The browser's Back button returns to the form as it was.
    window.addEventListener("pageshow", () => {
      working.hidden = true;
      show();
    });
  }

  // Film and overlay share zoom, level and window. A copy of the film lies behind the overlay, which fades to it.
  function setUpViewer(viewer) {
    const frames = [...viewer.querySelectorAll(".frame")];
    const controls = viewer.querySelector(".controls");
    const inputs = Object.fromEntries([...controls.querySelectorAll("input")].map((input) => [input.dataset.control, input]));
    const overlay = viewer.querySelector("[data-overlay] img");
    let x = 0;
    let y = 0;

    if (overlay) {
      const behind = frames[0].querySelector("img").cloneNode();
      behind.alt = "";
      overlay.before(behind);
      overlay.classList.add("above");
    }

    function draw() {
      const zoom = Number(inputs.zoom.value) / 100;
      const most = 50 * (1 - 1 / zoom);
      x = Math.min(most, Math.max(-most, x));
      y = Math.min(most, Math.max(-most, y));
      for (const image of viewer.querySelectorAll(".frame img")) {
        image.style.transform = `scale(${zoom}) translate(${x}%, ${y}%)`;
        image.style.filter = `brightness(${inputs.level.value}%) contrast(${10000 / Number(inputs.window.value)}%)`;
      }
      if (overlay) overlay.style.opacity = String(Number(inputs.overlay.value) / 100);
      for (const frame of frames) frame.classList.toggle("movable", zoom > 1);
    }

    function move(dx, dy) {
      x += dx;
      y += dy;
      draw();
    }

    controls.addEventListener("input", draw);
    controls.querySelector("[data-reset]").addEventListener("click", () => {
      for (const input of Object.values(inputs)) input.value = input.defaultValue;
      x = y = 0;
      draw();
    });
    for (const frame of frames) {
      frame.tabIndex = 0;
      frame.setAttribute("role", "group");
      frame.setAttribute("aria-label", `${frame.nextElementSibling.textContent}: arrow keys move it when zoomed`);
      frame.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [4, 0], ArrowRight: [-4, 0], ArrowUp: [0, 4], ArrowDown: [0, -4] }[event.key];
        if (!step || Number(inputs.zoom.value) <= 100) return;
        event.preventDefault();
        move(...step);
      });
      frame.addEventListener("pointerdown", (event) => {
        if (Number(inputs.zoom.value) > 100) frame.setPointerCapture(event.pointerId);
      });
      frame.addEventListener("pointermove", (event) => {
        if (!frame.hasPointerCapture(event.pointerId)) return;
        const zoom = Number(inputs.zoom.value) / 100;
        move((100 * event.movementX) / frame.clientWidth / zoom, (100 * event.movementY) / frame.clientHeight / zoom);
      });
      frame.addEventListener("dragstart", (event) => event.preventDefault());
    }
    controls.hidden = false;
    draw();
  }

  async function copyText(button) {
    const text = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected: press Ctrl+C";
    }
  }

  document.querySelectorAll("form.upload").forEach(setUpUpload);
  document.querySelectorAll("[data-viewer]").forEach(setUpViewer);
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copyText(button));
  }
})();
