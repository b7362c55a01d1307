// Light and dark: as the system has it until somebody switches, and as they left it then.

const key = "noria-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function chosen() { return localStorage.getItem(key) || (system.matches ? "dark" : "light"); }

function apply() { document.documentElement.dataset.theme = chosen(); }

/** theme makes button switch. */
export function theme(button) {
  apply();
  system.addEventListener("change", apply);
  button.addEventListener("click", () => {
    const next = chosen() === "dark" ? "light" : "dark";
    if (next === (system.matches ? "dark" : "light")) localStorage.removeItem(key); else localStorage.setItem(key, next);
    apply();
  });
}
