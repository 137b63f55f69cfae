// A table whose rows can be opened: by a click anywhere, by the link in their first cell, by j, k and Enter.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { count } from "../format";

export interface Column<T> {
  name: string;
  of: (row: T) => ComponentChildren;
  right?: boolean;
  wide?: boolean; // not shown where there is little room
  plain?: boolean; // its name is for those who cannot see what it is
}

interface Rows<T> {
  caption: string;
  columns: Column<T>[];
  rows: T[];
  id: (row: T) => string;
  href?: (row: T) => string;
  fresh?: (row: T) => boolean;
}

const STEP = 500; // rows at a time: more are slow to lay out, and nobody reads them

const classes = (column: { right?: boolean; wide?: boolean }) =>
  `${column.right ? "right" : ""}${column.wide ? " wide" : ""}` || undefined;

export function Table<T>({ caption, columns, rows, id, href, fresh }: Rows<T>) {
  const [most, setMost] = useState(STEP);
  const body = useRef<HTMLTableSectionElement>(null);
  const step = (event: KeyboardEvent) => {
    const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    const links = [...(body.current?.querySelectorAll<HTMLElement>("a[data-row]") ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    if (!by || at < 0) return;
    event.preventDefault();
    links[at + by]?.focus();
  };
  const open = (event: MouseEvent, row: T) => {
    const target = event.target as HTMLElement;
    if (!href || target.closest("a, button, input, label") || getSelection()?.toString()) return;
    location.hash = href(row);
  };
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`${caption}, as a table`}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" class={classes(column)}>
                {column.plain ? <span class="hidden">{column.name}</span> : column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={step}>
          {rows.slice(0, most).map((row) => (
            <tr
              key={id(row)}
              class={`${href ? "opens" : ""}${fresh?.(row) ? " fresh" : ""}` || undefined}
              onClick={(event) => open(event, row)}
            >
              {columns.map((column, at) => (
                <td key={column.name} class={classes(column)}>
                  {href && at === 0 ? (
                    <a data-row href={href(row)}>
                      {column.of(row)}
                    </a>
                  ) : (
                    column.of(row)
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > most && (
        <div class="body more">
          <button onClick={() => setMost(most + STEP)}>{count(rows.length - most)} more</button>
        </div>
      )}
    </div>
  );
}
