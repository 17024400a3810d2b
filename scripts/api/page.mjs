// Writes an entry's page: Markdown with a section for each exported name.

const headings = { function: "Functions", class: "Classes", constant: "Constants", type: "Types" };

/** Section links as GitHub makes them: lower case, and a number where a name comes twice. */
function anchors(names) {
  const seen = new Map();
  return names.map((name) => {
    const slug = name
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-");
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    return before === 0 ? slug : `${slug}-${before}`;
  });
}

const groupsOf = (list) =>
  Object.entries(headings)
    .map(([kind, title]) => ({ title, list: list.filter((e) => e.kind === kind) }))
    .filter((g) => g.list.length > 0);

/** Where each export's section is, by the export's id: on the page of the first entry that has it. */
export function placeSections(entries) {
  const places = new Map();
  for (const { path, file, exports } of entries) {
    const groups = groupsOf(exports.filter((e) => !places.has(e.id)));
    const slugs = anchors([path, ...groups.flatMap((g) => [g.title, ...g.list.map((e) => e.name)])]);
    let at = 1;
    for (const { list } of groups) {
      at++;
      for (const e of list) places.set(e.id, { file, link: `${file}#${slugs[at++]}` });
    }
  }
  return places;
}

/** Text with its TSDoc links as links and each paragraph on one line; fences are left alone. */
const prose = (text, link) =>
  text
    .split(/(^```[\s\S]*?^```$)/m)
    .map((part) => (part.startsWith("```") ? part : paragraphs(linked(part, link))))
    .join("");

const item = /^(?:[-*|#]|\d+\. )/;

/** Lines follow the sources' width: those of a paragraph become one. After a list a paragraph begins anew. */
function paragraphs(text) {
  const out = [];
  for (const line of text.split("\n")) {
    const before = out.at(-1);
    const joins = before && line.trim() !== "" && !item.test(line);
    if (joins && item.test(before) && !/^\s/.test(line)) out.push("", line);
    else if (joins) out[out.length - 1] = `${before} ${line.trim()}`;
    else out.push(line);
  }
  return out.join("\n");
}

const linked = (text, link) =>
  text.replace(/\{@link(?:code|plain)?\s+([^\s|}]+)(?:[\s|]+([^}]*))?\}/g, (_, to, label) => {
    const target = link(to.split(/[.#]/)[0]);
    const shown = label?.trim() || `\`${to}\``;
    return target ? `[${shown}](${target})` : shown;
  });

function section({ name, doc, code }, link) {
  const lines = (text) => linked(text, link).replace(/\s*\n\s*/g, " ");
  const of = (...tags) => doc.tags.filter((t) => tags.includes(t.tag));
  const facts = [
    ...of("param").map((t) => `- \`${t.name}\`: ${lines(t.text)}`),
    ...of("returns", "return").map((t) => `- Returns ${lines(t.text)}`),
    ...of("throws").map((t) => `- Throws ${lines(t.text)}`),
    ...of("deprecated").map((t) => `- Deprecated: ${lines(t.text)}`),
  ];
  const parts = [
    `### ${name}`,
    prose(doc.text, link),
    `\`\`\`ts\n${code}\n\`\`\``,
    facts.join("\n"),
    ...of("example").map((t) => t.text),
  ];
  return parts.filter(Boolean).join("\n\n");
}

/** What an entry exports and an earlier page describes: the earlier entries by name where it has all of theirs, else each. */
function alsoExported(all, file, places, earlier) {
  const names = new Set(all.map((e) => e.name));
  const whole = earlier.filter((e) => e.exports.length > 0 && e.exports.every((x) => names.has(x.name)));
  const covered = new Set(whole.flatMap((e) => e.exports.map((x) => x.id)));
  const single = all.filter((e) => places.get(e.id).file !== file && !covered.has(e.id));
  return [
    ...whole.map((e) => `everything else of [${e.path}](${e.file})`),
    ...single.map((e) => `[${e.name}](${places.get(e.id).link})`),
  ].join(" · ");
}

/** The page of an entry. `earlier` holds the entries before it, `places` where each section is. */
export function page({ path, file, intro, exports: all }, earlier, places) {
  const byName = new Map([...earlier.flatMap((e) => e.exports), ...all].map((e) => [e.name, places.get(e.id).link]));
  const link = (name) => byName.get(name)?.replace(`${file}#`, "#");
  const groups = groupsOf(all.filter((e) => places.get(e.id).file === file));
  const also = alsoExported(all, file, places, earlier);
  const parts = [
    `# ${path}`,
    prose(intro, link),
    ...groups.map((g) => [`## ${g.title}`, ...g.list.map((e) => section(e, link))].join("\n\n")),
    also && `## Also exported\n\n${also[0].toUpperCase()}${also.slice(1)}`,
  ];
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}
