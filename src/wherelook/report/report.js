"use strict";
// Everything is on the page without this script; it sorts tables and filters samples.
(() => {
  const compare = (first, second, numbers) => {
    if (first === "" || second === "") return (first === "") - (second === ""); // what is not there comes last
    return numbers ? Number(first) - Number(second) : first.localeCompare(second, undefined, { numeric: true });
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rising = head.getAttribute("aria-sort") !== "ascending", numbers = head.classList.contains("number");
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        const keyed = [...body.rows].map((row) => ({ row, key: row.cells[index].dataset.key }));
        keyed.sort((first, second) => {
          const order = compare(first.key, second.key, numbers);
          return first.key === "" || second.key === "" || rising ? order : -order;
        });
        body.append(...keyed.map(({ row }) => row));
      });
    });
  });

  const filters = document.getElementById("filters");
  if (!filters) return;
  const selects = [...filters.querySelectorAll("select")], matching = document.getElementById("matching");
  const samples = [...document.querySelectorAll("article.sample")];
  const update = () => {
    const wanted = selects.filter((select) => select.value).map((select) => [select.dataset.filter, select.value.slice(1)]);
    const fits = (element) => wanted.every(([name, value]) => !(name in element.dataset) || element.dataset[name] === value);
    let count = 0;
    samples.forEach((sample) => {
      const shown = [...sample.querySelectorAll(".shown")];
      shown.forEach((figure) => { figure.hidden = !fits(figure); });
      sample.hidden = !fits(sample) || shown.every((figure) => figure.hidden);
      if (!sample.hidden) count += 1;
    });
    matching.textContent = `${count} of ${samples.length} samples`;
  };
  selects.forEach((select) => select.addEventListener("change", update));
  update();
})();
