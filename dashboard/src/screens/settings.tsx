// Every setting in force and where it stands; those of the store are changed, removed and put back here.
import { useState } from "preact/hooks";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import { Card, Dialog, Empty, Head, Problem, Waiting, When } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Choice, Form, ifStill, Text, Twice, useWrite } from "../ui/write";

interface Setting {
  version: number;
  value: unknown;
  source: string;
}

interface Entry extends Setting {
  section: string;
  name: string;
}

interface Version {
  section: string;
  name: string;
  version: number;
  value: unknown;
  at: string;
  author?: string;
  reason?: string;
}

const COLUMNS: Column<Entry>[] = [
  { name: "Name", of: (one) => <span class="cut">{one.name}</span> },
  { name: "Value", of: (one) => <code class="cut" title={JSON.stringify(one.value)}>{JSON.stringify(one.value)}</code> },
  { name: "Defined in", of: (one) => <span class="cut soft">{one.source}</span>, right: true, wide: true },
];

export function Settings({ place }: { place: Place }) {
  const { data, error, again } = useResource<{ sections: Record<string, Record<string, Setting>> }>("settings");
  const reload = useWrite(again, "settings");
  const [told, setTold] = useState("");
  const [making, setMaking] = useState(false);
  const sections = Object.entries(data?.sections ?? {}).map(([section, entries]): [string, Entry[]] => [
    section,
    Object.entries(entries).map(([name, one]) => ({ ...one, section, name })),
  ]);
  const chosen = sections.flatMap(([, entries]) => entries).find((one) => `${one.section}.${one.name}` === place.rest);
  const again_ = async () => {
    const done = await reload.run<{ changes: string[] }>("POST", "reload");
    if (done) setTold(done.changes.join("; ") || "Nothing has changed in the file.");
  };
  return (
    <div class="stack">
      <Head title="Settings" why={reload.why}>
        <button disabled={reload.why !== ""} onClick={() => setMaking(true)}>New entry</button>
        <button disabled={reload.busy} onClick={() => void again_()}>
          Read the file again
        </button>
      </Head>
      {(error ?? reload.error) && <Problem error={(error ?? reload.error) as Error} again={again} />}
      {told && (
        <p class="note-box" role="status">
          {told}
        </p>
      )}
      {!data && !error && <Waiting />}
      {data && !sections.some(([, entries]) => entries.length) && <Empty title="No setting has an entry">The defaults are in force.</Empty>}
      {sections.filter(([, entries]) => entries.length).map(([section, entries]) => (
        <Card key={section} title={section}>
          <div class="even"><Table
            caption={`Settings of ${section}`}
            columns={COLUMNS}
            rows={entries}
            id={(one) => one.name}
            href={(one) => hashOf("settings", `${section}.${one.name}`)}
          /></div>
        </Card>
      ))}
      {chosen && <One key={place.rest} of={chosen} after={again} />}
      {making && data && <Making sections={Object.keys(data.sections)} after={again} close={() => setMaking(false)} />}
    </div>
  );
}

// JSON as the configuration has it; what the daemon says against it is told by `write`.
function Making({ sections, after, close }: { sections: string[]; after: () => void; close: () => void }) {
  const write = useWrite(after, "settings");
  const [wrong, setWrong] = useState("");
  const send = async (given: Record<string, string>) => {
    const value = parsed(given.value ?? "");
    setWrong(value === undefined ? NOT_JSON : "");
    if (value === undefined) return;
    const path = `settings/${given.section}/${encodeURIComponent(given.name ?? "")}`;
    if (await write.run("PUT", path, { body: { value, reason: given.reason ?? "" }, headers: ifStill() })) close();
  };
  return (
    <Dialog title={<h2>New entry</h2>} onClose={close}>
      <Form write={write} send={(given) => void send(given)} word="Put it in force">
        <Choice name="section" title="Section" among={sections} />
        <Text name="name" title="Name" needed />
        <label class="field">
          Value, as JSON
          <textarea name="value" placeholder={'{"usd": 100, "per": "month"}'} required />
        </label>
        <Text name="reason" title="Why" />
        {wrong && <p role="alert">{wrong}</p>}
      </Form>
    </Dialog>
  );
}

const NOT_JSON = "This is not JSON.";

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function One({ of, after }: { of: Entry; after: () => void }) {
  const write = useWrite(after, "settings");
  const [wrong, setWrong] = useState("");
  const close = () => go(hashOf("settings"));
  const path = `settings/${encodeURIComponent(of.section)}/${encodeURIComponent(of.name)}`;
  const isStored = of.source === "store";
  const send = async (given: Record<string, string>) => {
    const value = parsed(given.value ?? "");
    setWrong(value === undefined ? NOT_JSON : "");
    if (value !== undefined) await write.run("PUT", path, { body: { value, reason: given.reason ?? "" }, headers: ifStill(of.version) });
  };
  const remove = async () => (await write.run("DELETE", path)) && close();
  return (
    <Dialog sheet title={<h2>{of.section}.{of.name}</h2>} onClose={close}>
      <p class="soft">
        It stands in {of.source}
        {isStored ? `, version ${of.version}` : "; the file wins, so that it is changed there, and the file read again"}.
      </p>
      {isStored ? (
        <Form write={write} send={(given) => void send(given)} word="Put it in force">
          <label class="field">
            Value, as JSON
            <textarea name="value" key={of.version} defaultValue={JSON.stringify(of.value, null, 2)} />
          </label>
          <Text name="reason" title="Why" />
          {wrong && <p role="alert">{wrong}</p>}
        </Form>
      ) : (
        <pre class="code" tabIndex={0}>{JSON.stringify(of.value, null, 2)}</pre>
      )}
      {isStored && (
        <div>
          <Twice word="Remove" sure="Remove it now" write={write} onSure={() => void remove()} />
        </div>
      )}
      <History of={of} after={after} />
    </Dialog>
  );
}

function History({ of, after }: { of: Entry; after: () => void }) {
  const { data, again } = useResource<{ versions: Version[] }>(
    `settings/history?section=${encodeURIComponent(of.section)}&name=${encodeURIComponent(of.name)}`,
  );
  const write = useWrite(() => (after(), again()), "settings");
  if (!data?.versions.length) return null;
  const back = (version: number) =>
    void write.run("POST", "settings/rollback", { body: { section: of.section, name: of.name, version } });
  const columns: Column<Version>[] = [
    { name: "Version", of: (one) => one.version },
    { name: "When", of: (one) => <When at={one.at} /> },
    { name: "Value", of: (one) => <code class="cut">{one.value ? JSON.stringify(one.value) : "removed"}</code> },
    {
      name: "Action",
      right: true,
      of: (one) => one.version !== of.version && <button class="plain" disabled={write.busy} onClick={() => back(one.version)}>Put back</button>,
    },
  ];
  return (
    <section>
      <h3>Earlier versions</h3>
      {write.error && <Problem error={write.error} />}
      <Table caption="Versions" columns={columns} rows={data.versions} id={(one) => String(one.version)} />
    </section>
  );
}
