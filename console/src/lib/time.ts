/** A moment as people here read it. */
export function moment(millis: number): string {
  return new Date(millis).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** The time of day, to the millisecond. */
export function clock(millis: number): string {
  const at = new Date(millis);
  return `${at.toLocaleTimeString(undefined, { hour12: false })}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** A span in the largest two units that say something. */
export function span(millis: number): string {
  const seconds = Math.max(0, Math.round(millis / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const begin = parts.findIndex(([count]) => count > 0);
  if (begin < 0) return '0 s';
  return parts
    .slice(begin, begin + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** What a `datetime-local` field holds as RFC 3339 in UTC; undefined if it holds nothing. */
export function toUtc(local: string): string | undefined {
  const at = new Date(local);
  return local && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined;
}

/** The other way round. */
export function toLocal(millis: number): string {
  const at = new Date(millis - new Date(millis).getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 16);
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [count / 1024, 0];
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}
