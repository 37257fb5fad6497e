// How strongly the evidence is drawn over a film: no trip to the server.
document.addEventListener("input", (event) => {
  if (event.target.matches(".strength input")) event.target.closest("article").style.setProperty("--heat", event.target.value / 100);
});

// A pasted picture goes the way of a chosen one.
document.addEventListener("paste", (event) => {
  const input = document.querySelector("#film input[type=file]");
  if (!input || !event.clipboardData.files.length) return;
  event.preventDefault();
  input.files = event.clipboardData.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

// The findings' text; where the clipboard is closed to pages, it is at least selected.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const text = button.closest("section").querySelector("pre");
  getSelection().selectAllChildren(text);
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Selected: press Ctrl+C";
  }
});
