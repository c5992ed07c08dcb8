"use strict";
// Everything is on the page without this script; it adds the slider, the toggle, token details and token maps.
(() => {
  const find = (id) => document.getElementById(id);
  const layer = find("layer"), marks = find("marks"), focus = find("focus");
  const slider = find("opacity"), toggle = find("show-marks");
  const detail = find("detail"), shown = find("shown"), whole = find("whole");
  const contours = document.querySelectorAll("#stage .contour");
  const tokens = [...document.querySelectorAll("#tokens .token")];
  const wholeMap = { layer: layer.getAttribute("href"), contour: contours.length ? contours[0].getAttribute("d") : "" };

  const update = () => {
    layer.setAttribute("opacity", slider.value / 100);
    find("opacity-value").textContent = `${slider.value} %`;
    if (marks) marks.toggleAttribute("hidden", !toggle.checked);
  };
  slider.addEventListener("input", update);
  if (toggle) toggle.addEventListener("change", update);
  update();

  const show = (token) => {
    const map = token ? token.dataset : wholeMap;
    layer.setAttribute("href", map.layer);
    contours.forEach((path) => path.setAttribute("d", map.contour));
    shown.textContent = token ? `the token “${token.textContent}”` : "the whole answer";
    if (focus) focus.toggleAttribute("hidden", Boolean(token)); // box and peak belong to the whole answer's map
    whole.setAttribute("aria-pressed", String(!token));
    tokens.forEach((other) => other.dataset.layer && other.setAttribute("aria-pressed", String(other === token)));
  };
  if (whole) whole.addEventListener("click", () => show(null));

  tokens.forEach((token) => {
    const text = token.title;
    token.removeAttribute("title"); // the line below the answer says it, also by keyboard and touch
    token.setAttribute("aria-describedby", "detail");
    const explain = () => { detail.textContent = text; };
    token.addEventListener("pointerenter", explain);
    token.addEventListener("focus", explain);
    token.addEventListener("click", () => {
      explain();
      if (token.dataset.layer) show(token.getAttribute("aria-pressed") === "true" ? null : token);
    });
  });
})();
