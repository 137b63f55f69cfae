// Credentials: one provider and its key, and what keys that are sealed on disk hang on.
import { count } from "../format";
import { useResource } from "../resource";
import { hashOf } from "../router";
import type { Provider } from "../types";
import { Card, Dialog, isForbidden, Problem, State, Waiting, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Form, ifStill, Text, Twice, useWrite, type Write } from "../ui/write";

interface Entry {
  version: number;
  value: Record<string, unknown>;
  source: string;
}

const pathOf = (name: string) => `settings/providers/${encodeURIComponent(name)}`;

export function ProviderSheet({ of, write, after, close }: { of: Provider; write: Write; after: () => void; close: () => void }) {
  const entry = useResource<Entry>(pathOf(of.provider));
  const saving = useWrite(() => (after(), entry.again()), "settings");
  const send = (given: Record<string, string>) => {
    const changed = Object.entries({ base_url: given.base_url, api_key: given.api_key }).filter(([, text]) => text);
    const value = { ...entry.data?.value, ...Object.fromEntries(changed) };
    void saving.run("PUT", pathOf(of.provider), { body: { value }, headers: ifStill(entry.data?.version) });
  };
  const remove = async () => (await write.run("DELETE", pathOf(of.provider))) && close();
  return (
    <Dialog sheet title={<h2>{of.provider}</h2>} onClose={close}>
      <dl class="facts">
        <div><dt>Kind</dt><dd>{of.kind}</dd></div>
        <div><dt>Address</dt><dd>{of.base_url}</dd></div>
        <div><dt>Key from</dt><dd>{of.key_source}</dd></div>
      </dl>
      <p>
        <a href={hashOf("calls", "", { provider: of.provider })}>Its calls</a> · <a href={hashOf("costs", "", { provider: of.provider })}>Its costs</a>
      </p>
      {entry.error && <Problem error={entry.error} again={entry.again} />}
      {!entry.data && !entry.error && <Waiting />}
      {entry.data?.source === "store" ? (
        <>
          <Form key={entry.data.version} write={saving} send={send} word="Put it in force">
            <Text name="base_url" title="Address" hint="as the kind says" value={String(entry.data.value.base_url ?? "")} />
            <Text name="api_key" title="Another key, sealed on disk; empty: the one there is" type="password" />
          </Form>
          {write.error && <Problem error={write.error} />}
          <div><Twice word="Remove" sure={`Remove ${of.provider} now`} write={write} onSure={() => void remove()} /></div>
        </>
      ) : entry.data && <p class="note-box">It stands in {entry.data.source}; change it there, and reload.</p>}
    </Dialog>
  );
}

interface MasterKey {
  label: string;
  state: string;
  data_keys: number;
}

interface Secrets {
  ok: boolean;
  source: string;
  writable: boolean;
  problem: string;
  master_keys: MasterKey[];
  data_keys: { id: string; tenant: string; entries: string[] }[];
  unreadable: { entry: string; problem: string }[];
}

const TONES: Record<string, Tone> = { active: "good", missing: "bad" };

const MASTERS: Column<MasterKey>[] = [
  { name: "Master key", of: (one) => <span class="cut">{one.label}</span> },
  { name: "State", of: (one) => <State tone={TONES[one.state] ?? "idle"}>{one.state}</State> },
  { name: "Data keys on it", of: (one) => count(one.data_keys), right: true },
];

// Those who may not see it, or have nothing sealed, see nothing.
export function Sealed() {
  const { data, error, again } = useResource<Secrets>("secrets", 0, true);
  const write = useWrite(again, "settings");
  if (isForbidden(error) || !data || (data.ok && !data.data_keys.length)) return null;
  const isOver = data.master_keys.some((one) => one.state === "decrypts only" && !one.data_keys);
  return (
    <Card title="Keys sealed on disk" aside={<State tone={data.ok ? "good" : "bad"}>{data.ok ? "all can be opened" : "some cannot be opened"}</State>}>
      <div class="body stack">
        <p class="soft">
          What they hang on stands in {data.source}. Back it up apart from the ledger: without it no stored key can be opened.
        </p>
        {data.problem && <Problem error={new Error(data.problem)} />}
        {data.unreadable.length > 0 && (
          <ul class="plain-list">
            {data.unreadable.map((one) => <li key={one.entry}><strong>{one.entry}</strong>: {one.problem}</li>)}
          </ul>
        )}
        {write.error && <Problem error={write.error} />}
        {data.writable && (
          <div class="row">
            <button disabled={write.busy} onClick={() => void write.run("POST", "secrets/rotate", { body: {} })}>Put another master key first</button>
            {isOver && <Twice word="Take out those that nothing needs" sure="Take them out now" write={write} onSure={() => void write.run("POST", "secrets/prune", { body: {} })} />}
          </div>
        )}
      </div>
      <Table caption="Master keys" columns={MASTERS} rows={data.master_keys} id={(one) => one.label} />
    </Card>
  );
}
