// The slider sets the opacity of the evidence without a request to the server.
document.addEventListener("input", (event) => {
  if (event.target.matches(".strength input")) event.target.closest("article").style.setProperty("--heatmap", event.target.value / 100);
});

// A pasted picture goes into the first free box of the visible tab, as a chosen one does.
document.addEventListener("paste", (event) => {
  const boxes = [...document.querySelectorAll("#film, #then, #now")].filter((box) => box.getClientRects().length);
  const input = boxes.map((box) => box.querySelector("input[type=file]")).find((found) => found);
  if (!input || !event.clipboardData.files.length) return;
  event.preventDefault();
  input.files = event.clipboardData.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

// Films of the visitor are not a sample. On a narrow screen the answer lies below the button, so it scrolls into view once.
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

// Copies the findings. Where a page may not use the clipboard, it selects them.
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
