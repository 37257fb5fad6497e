// Adds comfort to the pages. Each page is complete without it.
"use strict";
(() => {
  function sizeText(bytes) {
    if (bytes < 1024) return `${bytes} bytes`;
    return bytes < 2 ** 20 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
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
    const knees = [...controls.querySelectorAll("[data-box]")];
    const size = { width: Number(viewer.dataset.width), height: Number(viewer.dataset.height) };
    const marks = svg("svg", { class: "marks", viewBox: `0 0 ${size.width} ${size.height}`, "aria-hidden": "true" });
    let focus = { x: 0, y: 0 }; // what is wanted in the middle, as a shift of the picture in per cent

    if (overlay) {
      const behind = frames[0].querySelector("img").cloneNode();
      behind.alt = "";
      overlay.before(behind);
      overlay.classList.add("above");
    }
    frames[0].append(marks);

    // Edges of a box as parts of the picture's element, in which a film of another shape has bars at two sides.
    function placeOf(box) {
      const image = frames[0].querySelector("img");
      const scale = Math.min(image.clientWidth / size.width, image.clientHeight / size.height);
      const part = (edge, side, room) => 0.5 + ((edge - side / 2) * scale) / room;
      return {
        left: part(box[0], size.width, image.clientWidth), right: part(box[2], size.width, image.clientWidth),
        top: part(box[1], size.height, image.clientHeight), bottom: part(box[3], size.height, image.clientHeight),
      };
    }

    function lookAt(button, fill) {
      const place = placeOf(button.dataset.box.split(",").map(Number));
      if (fill) inputs.zoom.value = String(95 / Math.max(place.right - place.left, place.bottom - place.top));
      focus = { x: 50 - 50 * (place.left + place.right), y: 50 - 50 * (place.top + place.bottom) };
      draw();
    }

    function shift() {
      const most = 50 * (1 - 100 / Number(inputs.zoom.value));
      return { x: Math.min(most, Math.max(-most, focus.x)), y: Math.min(most, Math.max(-most, focus.y)) };
    }

    function draw() {
      const zoom = Number(inputs.zoom.value) / 100;
      const { x, y } = shift();
      for (const shown of viewer.querySelectorAll(".frame img, .marks")) shown.style.transform = `scale(${zoom}) translate(${x}%, ${y}%)`;
      for (const image of viewer.querySelectorAll("img")) {
        // As in a viewer of radiographs, a higher level makes the picture darker.
        image.style.filter = `brightness(${10000 / Number(inputs.level.value)}%) contrast(${10000 / Number(inputs.window.value)}%)`;
      }
      if (overlay) overlay.style.opacity = String(Number(inputs.overlay.value) / 100);
      for (const frame of frames) frame.classList.toggle("movable", zoom > 1);
    }

    function move(dx, dy) {
      const { x, y } = shift();
      focus = { x: x + dx, y: y + dy };
      draw();
    }

    function reset() {
      for (const input of Object.values(inputs)) input.value = input.defaultValue;
      if (knees.length) lookAt(knees[0], false); // the slider zooms into the first knee
      else draw();
    }

    controls.addEventListener("input", draw);
    controls.querySelector("[data-reset]").addEventListener("click", reset);
    for (const knee of knees) knee.addEventListener("click", () => lookAt(knee, true));
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
        if (Number(inputs.zoom.value) > 100 && !frame.classList.contains("drawing")) frame.setPointerCapture(event.pointerId);
      });
      frame.addEventListener("pointermove", (event) => {
        if (!frame.hasPointerCapture(event.pointerId) || frame.classList.contains("drawing")) return;
        const zoom = Number(inputs.zoom.value) / 100;
        move((100 * event.movementX) / frame.clientWidth / zoom, (100 * event.movementY) / frame.clientHeight / zoom);
      });
      frame.addEventListener("dragstart", (event) => event.preventDefault());
    }
    const correct = viewer.querySelector(".correct");
    if (correct) setUpBoxes(correct, frames[0], marks, size);
    controls.hidden = false;
    reset();
  }

  function svg(name, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  // Boxes are numbers in a form; here they are also drawn on the film.
  function setUpBoxes(correct, frame, marks, size) {
    const boxes = [...correct.querySelectorAll("fieldset.box")].map((fieldset) => ({
      edges: [...fieldset.querySelectorAll("input")], button: fieldset.querySelector("[data-draw]"), mark: svg("rect", {}),
    }));
    let drawn = null; // the box that is being drawn
    let start = null;

    function show() {
      for (const { edges, mark } of boxes) {
        const [left, top, right, bottom] = edges.map((edge) => Number(edge.value));
        const whole = edges.every((edge) => edge.value !== "") && left < right && top < bottom;
        mark.setAttribute("display", whole && correct.open ? "inline" : "none");
        if (whole) for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) mark.setAttribute(name, value);
      }
      const thickness = Math.max(1, Math.max(size.width, size.height) / 200);
      for (const { mark } of boxes) mark.setAttribute("stroke-width", thickness);
    }

    function filmPoint(event) {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(marks.getScreenCTM().inverse());
      return [Math.round(Math.min(size.width, Math.max(0, point.x))), Math.round(Math.min(size.height, Math.max(0, point.y)))];
    }

    function draw(box) {
      drawn = drawn === box ? null : box;
      frame.classList.toggle("drawing", drawn !== null);
      for (const one of boxes) one.button.setAttribute("aria-pressed", String(one === drawn));
      if (drawn) frame.scrollIntoView({ block: "nearest" });
    }

    for (const box of boxes) {
      marks.append(box.mark);
      box.button.hidden = false;
      box.button.setAttribute("aria-pressed", "false");
      box.button.addEventListener("click", () => draw(box));
    }
    correct.addEventListener("input", show);
    correct.addEventListener("toggle", () => {
      if (!correct.open && drawn) draw(drawn);
      show();
    });
    frame.addEventListener("pointerdown", (event) => {
      if (!drawn) return;
      event.preventDefault();
      frame.setPointerCapture(event.pointerId);
      start = filmPoint(event);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!drawn || !start) return;
      const end = filmPoint(event);
      const values = [Math.min(start[0], end[0]), Math.min(start[1], end[1]), Math.max(start[0], end[0]), Math.max(start[1], end[1])];
      drawn.edges.forEach((edge, number) => { edge.value = String(values[number]); });
      show();
    });
    frame.addEventListener("pointerup", () => {
      if (drawn && start) draw(drawn);
      start = null;
    });
    show();
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
