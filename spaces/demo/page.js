// How strongly the evidence is drawn over a film: no trip to the server.
document.addEventListener("input", (event) => {
  if (event.target.matches(".strength input")) event.target.closest("article").style.setProperty("--heat", event.target.value / 100);
});

// A pasted picture goes the way of a chosen one, into the first free box of the tab that is seen.
document.addEventListener("paste", (event) => {
  const boxes = [...document.querySelectorAll("#film, #then, #now")].filter((box) => box.getClientRects().length);
  const input = boxes.map((box) => box.querySelector("input[type=file]")).find((found) => found);
  if (!input || !event.clipboardData.files.length) return;
  event.preventDefault();
  input.files = event.clipboardData.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

// Own films are not a sample; on a narrow screen the answer lies below what was pressed, and comes into view once for each press.
let awaited = false;
document.addEventListener("change", (event) => {
  if (!event.target.closest("#film, #then, #now")) return;
  awaited = true;
  if (!event.target.closest("#film")) return;
  for (const button of document.querySelectorAll("button[data-sample]")) button.setAttribute("aria-pressed", false);
});
document.addEventListener("click", (event) => {
  if (event.target.closest("button[data-sample]")) awaited = true;
});
new MutationObserver((changes) => {
  const result = awaited && changes.map((change) => change.target.closest?.("#result, #change")).find((found) => found);
  if (!result || !result.querySelector("article")) return;
  awaited = false;
  if (matchMedia("(max-width: 640px)").matches && innerHeight < result.getBoundingClientRect().top + 200) result.scrollIntoView({ block: "start" });
}).observe(document, { childList: true, subtree: true });

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
