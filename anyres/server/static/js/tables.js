// Tables out of an answer, for other programs. A table is a list of rows, each a list of strings.

export const rowsOf = (table) =>
  Array.from(table.rows, (row) => Array.from(row.cells, (cell) => cell.textContent.trim()));

// A spreadsheet would take these for a formula; numbers may begin with a sign.
const FORMULA = /^[=+\-@\t\r](?![\d.,\s%]*$)/;

/** RFC 4180, with what would be a formula made text. */
export function toCsv(rows) {
  const cell = (text) => {
    const safe = FORMULA.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function toMarkdown(rows) {
  const line = (cells) => `| ${cells.map((text) => text.replaceAll("|", "\\|").replace(/\s+/g, " ")).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(head.map(() => "---")), ...body.map(line)].join("\n") + "\n";
}
