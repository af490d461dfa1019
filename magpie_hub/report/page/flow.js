// Where the sampled queries went: a flow, and the same as a list of buttons.

function showFlow() {
  if (!data.flow) return missing("flow", "No stage has told what became of its rows yet.");
  const dimension = dimensions.get("fate");
  const canvas = el("div.canvas.flow");
  const side = el("div.side", {}, el("h3", {}, "What became of them"));
  const none = el("p.missing", { hidden: true }, "No sampled query passes the filters.");
  show("flow", none, el("div.beside", {}, canvas, side));

  const ways = new Map();
  for (const link of data.flow.links)
    ways.set(link.source, [...(ways.get(link.source) || []), link.target]);
  const nodes = new Map(data.flow.nodes.map((node) => [node.name, node]));
  let now = null;
  const rejects = (name) => !ways.has(name) && !rows.fates[nodes.get(name).fate]?.kept;

  /** How many rows stand at a node: its own fate's, or those of all that follow. */
  function standing(name) {
    const node = nodes.get(name);
    if (!ways.has(name)) return node.fate === undefined || node.fate === null ? 0 : now[node.fate];
    return ways.get(name).reduce((sum, next) => sum + standing(next), 0);
  }
  function update() {
    const by = tallyBy(dimension, passesBut("fate"));
    now = by.kept.map((n, at) => n + by.rejected[at]);
  }
  update();

  const { made, draw } = chart(canvas, "Flow of queries from sampling to the rows kept. The list beside has the same numbers.", () => {
    const narrow = canvas.clientWidth < 560;
    const all = standing(data.flow.nodes[0].name);
    const picked = filters.has("fate");
    const look = (node) => {
      const leaf = !ways.has(node.name);
      const dim = picked && leaf && !chosen("fate", node.fate);
      return {
        name: node.name,
        itemStyle: { color: colour(rejects(node.name) ? "rejected" : "kept"), opacity: dim ? 0.25 : 1, borderWidth: 0 },
        label: {
          position: "right",
          formatter: () => {
            const many = `${about()}${count(standing(node.name))}`;
            if (narrow) return leaf ? `${many}  ${line(node.title, 11)}` : many;
            return `${line(node.title, 28)}  ${many}`;
          },
        },
      };
    };
    const links = data.flow.links
      .map((link) => ({ ...link, value: standing(link.target), lineStyle: { color: colour(rejects(link.target) ? "rejected" : "kept") } }))
      .filter((link) => link.value > 0);
    // The main stream lies on top.
    links.sort((a, b) => rejects(a.target) - rejects(b.target));
    const used = new Set(links.flatMap((link) => [link.source, link.target]));
    return {
      tooltip: tooltip({
        trigger: "item",
        formatter: ({ dataType, data: item }) => {
          const name = dataType === "edge" ? item.target : item.name;
          return tip(visible(nodes.get(name).title), `${about()}${plural(standing(name), "query", "queries")}, ${percent(standing(name), all)}`);
        },
      }),
      series: [{
        type: "sankey", left: 4, right: narrow ? 108 : 210, top: 12, bottom: 12, nodeWidth: 12, nodeGap: 14,
        nodeAlign: "left", draggable: false, layoutIterations: 0, emphasis: { focus: "trajectory" },
        lineStyle: { opacity: 0.22, curveness: 0.5 },
        label: { color: colour("ink"), fontSize: narrow ? 12 : 13, textBorderColor: colour("paper"), textBorderWidth: 3 },
        data: data.flow.nodes.filter((node) => used.has(node.name))
          .sort((a, b) => rejects(a.name) - rejects(b.name)).map(look),
        links,
      }],
    };
  });
  made.on("click", ({ dataType, data: item }) => {
    const node = nodes.get(dataType === "edge" ? item.target : item.name);
    if (node && node.fate !== undefined && node.fate !== null) toggle("fate", node.fate);
  });
  const list = barList(side, {
    title: "what became of the queries", names: dimension.values, limit: 10,
    series: () => [
      ...["kept", "rejected"].map((name) => ({
        name, colour: colour(name),
        values: now.map((n, at) => (rows.fates[at].kept === (name === "kept") ? n : 0)),
      })),
    ],
    figures: () => now.map((n) => count(n)),
    describe: () => now.map((n, at) => `${visible(dimension.values[at])}: ${about()}${plural(n, "query", "queries")}`),
    among: () => scaled("fate", rows.fates.map((fate) => fate.of), now), press: (at) => toggle("fate", at), pressed: (at) => chosen("fate", at),
  });
  follow(() => { update(); none.hidden = now.some((n) => n); draw({ replaceMerge: "series" }); list(); });
}
