// Tables for other programs. A field that a spreadsheet would take for a formula is kept from being one.

function field(value: unknown): string {
  const text = value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
  // Some begin a cell at semicolons, tabs and line ends too, whatever the quotes.
  const safe = text.replace(/(?<=^|[;\t\r\n])[=+\-@\t\r]/g, "'$&");
  return /[",;\t\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(columns: string[], rows: unknown[][]): string {
  return [columns, ...rows].map((row) => row.map(field).join(',')).join('\r\n') + '\r\n';
}

/** Gives the browser a file to keep. */
export function download(name: string, kind: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type: kind }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
