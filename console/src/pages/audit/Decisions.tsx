// How many of the requests that are shown were allowed and refused, over time.
import { useEffect, useMemo, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { FoundRequest } from '../../api/client';

const BUCKETS = 48;
const STEPS = [1, 5, 10, 30, 60, 300, 900, 3600, 10_800, 21_600, 86_400, 604_800];

/** Counts by bucket: the beginnings in seconds, allowed, refused. */
export function counted(requests: FoundRequest[]): [number[], number[], number[]] {
  const times = requests.map((one) => Math.floor(one.at / 1000));
  const [least, most] = [Math.min(...times), Math.max(...times)];
  const step = STEPS.find((one) => (most - least) / one <= BUCKETS) ?? 604_800;
  const begin = Math.floor(least / step) * step;
  const count = Math.max(2, Math.floor((most - begin) / step) + 1);
  const at = Array.from({ length: count }, (_, index) => begin + index * step);
  const [allowed, refused] = [Array<number>(count).fill(0), Array<number>(count).fill(0)];
  requests.forEach((one, index) => {
    const bucket = Math.floor(((times[index] ?? begin) - begin) / step);
    const line = one.outcome === 'allow' ? allowed : refused;
    line[bucket] = (line[bucket] ?? 0) + 1;
  });
  return [at, allowed, refused];
}

export function Decisions({ of }: { of: FoundRequest[] }) {
  const place = useRef<HTMLDivElement>(null);
  const data = useMemo(() => counted(of), [of]);
  const total = (line: number[]) => line.reduce((sum, count) => sum + count, 0);
  useEffect(() => {
    const node = place.current;
    if (!node) return;
    const colour = (name: string) => getComputedStyle(node).getPropertyValue(name).trim();
    const bars = uPlot.paths.bars?.({ size: [0.7, 24] });
    const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } };
    const series = (label: string, name: string) => ({ label, stroke: colour(name), fill: colour(name), width: 0, points: { show: false }, ...(bars ? { paths: bars } : {}) });
    const plot = new uPlot(
      {
        width: node.clientWidth || 600,
        height: 120,
        legend: { show: false },
        cursor: { show: false },
        axes: [axis, { ...axis, size: 40 }],
        series: [{}, series('decided', '--bad'), series('allowed', '--good')],
      },
      // The refused stand behind and above the allowed.
      [data[0], data[1].map((count, at) => count + (data[2][at] ?? 0)), data[1]],
      node,
    );
    const watcher = new ResizeObserver(() => plot.setSize({ width: node.clientWidth, height: 120 }));
    watcher.observe(node);
    return () => {
      watcher.disconnect();
      plot.destroy();
    };
  }, [data]);
  return (
    <figure className="chart">
      <div ref={place} aria-hidden="true" />
      <figcaption className="quiet">
        Of those shown: <span className="key good" /> {total(data[1]).toLocaleString()} allowed, <span className="key bad" />{' '}
        {total(data[2]).toLocaleString()} refused or waiting
      </figcaption>
    </figure>
  );
}
