// A table of any length: only the rows that can be seen are in the page.
import { type ColumnDef, tableFeatures, useTable } from '@tanstack/react-table';
import { type VirtualItem, useVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useEffect, useRef } from 'react';

const features = tableFeatures({});
export type Column<Row> = { id: string; header: string; width: string; cell: (row: Row) => ReactNode };

interface Props<Row> {
  label: string;
  rows: Row[];
  columns: Column<Row>[];
  keyOf: (row: Row) => string;
  /** Shown below a row, if it is open. */
  more?: (row: Row) => ReactNode;
  /** Called when the end comes near. */
  onEnd?: () => void;
}

export function Rows<Row extends object>({ label, rows, columns, keyOf, more, onEnd }: Props<Row>) {
  const definitions: ColumnDef<typeof features, Row>[] = columns.map((column) => ({
    id: column.id,
    header: column.header,
    cell: ({ row }) => column.cell(row.original),
  }));
  const table = useTable({ features, columns: definitions, data: rows, getRowId: keyOf });
  const scroller = useRef<HTMLDivElement>(null);
  const found = table.getRowModel().rows;
  const virtual = useVirtualizer({
    count: found.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 44,
    overscan: 12,
    getItemKey: (at) => found[at]?.id ?? at,
  });
  // While the size of the place is not known, what was there stays: what is open in a row would be closed.
  const shown = useRef<VirtualItem[]>([]);
  const fresh = virtual.getVirtualItems();
  if (fresh.length > 0 || found.length === 0) shown.current = fresh;
  const items = shown.current.filter((item) => item.index < found.length);
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (onEnd && found.length > 0 && last >= found.length - 20) onEnd();
  }, [last, found.length, onEnd]);
  const template = columns.map((column) => column.width).join(' ');
  return (
    <div className="rows" ref={scroller} tabIndex={0} role="region" aria-label={label}>
      <div role="table" aria-label={label} aria-rowcount={found.length + 1}>
        <div role="rowgroup" className="rows-head">
          <div role="row" className="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
            {columns.map((column) => (
              <div role="columnheader" key={column.id}>
                {column.header}
              </div>
            ))}
          </div>
        </div>
        <div role="rowgroup" className="rows-body" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const row = found[item.index];
            if (!row) return null;
            const below = more?.(row.original);
            return (
              <div
                key={item.key}
                className="row-place"
                role="presentation"
                ref={virtual.measureElement}
                data-index={item.index}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <div role="row" className="row" aria-rowindex={item.index + 2} style={{ gridTemplateColumns: template }}>
                  {row.getAllCells().map((cell, at) => (
                    <div role="cell" key={cell.id} data-label={columns[at]?.header}>
                      <table.FlexRender cell={cell} />
                    </div>
                  ))}
                </div>
                {below && (
                  <div role="row" className="row-more">
                    <div role="cell">{below}</div>
                  </div>
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
