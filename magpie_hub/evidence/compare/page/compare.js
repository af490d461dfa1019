// The map: the questions of all sources over each other. All else on the page is plain HTML.

const plot = document.getElementById("plot");
if (plot && data.sources.length) {
  const drawn = () => { document.body.dataset.drawn = "map"; };
  const draw = layered(plot, data.sources, "Map of the questions of all sources.", drawn);
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
