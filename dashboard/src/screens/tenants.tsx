// Tenants: whose keys have something together; made and changed here, their providers' keys written and never shown.
import { useState } from "preact/hooks";
import { count } from "../format";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import type { Budget } from "../types";
import { BudgetLines } from "../ui/budgets";
import { Card, Dialog, Empty, Head, Problem, Usd, Waiting } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Choice, Form, ifStill, listOf, Text, Twice, useWrite, type Write } from "../ui/write";

interface Tenant {
  name: string;
  parent: string | null;
  children: string[];
  keys: string[];
  credentials: Record<string, string>;
  default_model: string | null;
  max_output: number | null;
  models: string[];
  limits: string[];
  budgets: Budget[];
  zdr: boolean;
  calls: number;
  cost_usd: string;
}

interface Entry {
  version: number;
  value: Record<string, unknown>;
  source: string;
}

const PERS = ["month", "week", "day", "hour", "total"];
const pathOf = (name: string) => `settings/tenants/${encodeURIComponent(name)}`;

const COLUMNS: Column<Tenant>[] = [
  { name: "Tenant", of: (one) => <span class="cut" title={one.name}>{one.name}</span> },
  { name: "Parent", of: (one) => <span class="cut">{one.parent ?? "–"}</span>, wide: true },
  { name: "Keys", of: (one) => count(one.keys.length), right: true },
  { name: "Models", of: (one) => <span class="cut" title={one.models.join(", ")}>{one.models.join(", ") || "all"}</span>, wide: true },
  { name: "Budgets", of: (one) => one.budgets.map((budget) => <div key={budget.budget}><Usd of={budget.cap_usd} /> a {budget.per}</div>), wide: true },
  { name: "Calls", of: (one) => count(one.calls), right: true },
  { name: "Spent", of: (one) => <Usd of={one.cost_usd} />, right: true },
];

export function Tenants({ place }: { place: Place }) {
  const { data, error, again } = useResource<{ tenants: Tenant[] }>("tenants", 10_000);
  const [making, setMaking] = useState(false);
  const write = useWrite(again, "settings");
  const chosen = data?.tenants.find((one) => one.name === place.rest);
  return (
    <div class="stack">
      <Head title="Tenants" why={write.why}>
        <button class="main" disabled={write.why !== ""} onClick={() => setMaking(true)}>
          New tenant
        </button>
      </Head>
      {error && <Problem error={error} again={again} />}
      <Card title="Tenants" aside={data ? count(data.tenants.length) : ""}>
        {!data && !error && <Waiting />}
        {data?.tenants.length === 0 && <Empty title="No tenant yet">A tenant is a site, a team or a customer: keys that share budgets, models and credentials.</Empty>}
        {data && data.tenants.length > 0 && (
          <Table caption="Tenants" columns={COLUMNS} rows={data.tenants} id={(one) => one.name} href={(one) => hashOf("tenants", one.name)} />
        )}
      </Card>
      {making && (
        <Dialog title={<h2>New tenant</h2>} onClose={() => setMaking(false)}>
          <Terms write={write} before={{}} version={0} done={() => setMaking(false)} />
        </Dialog>
      )}
      {chosen && <One key={chosen.name} of={chosen} write={write} after={again} />}
    </div>
  );
}

function One({ of, write, after }: { of: Tenant; write: Write; after: () => void }) {
  const entry = useResource<Entry>(pathOf(of.name));
  const saving = useWrite(() => (after(), entry.again()), "settings");
  const close = () => go(hashOf("tenants"));
  const remove = async () => (await write.run("DELETE", pathOf(of.name))) && close();
  return (
    <Dialog sheet title={<h2>{of.name}</h2>} onClose={close}>
      <dl class="facts">
        <div><dt>Parent</dt><dd>{of.parent ?? "none"}</dd></div>
        <div><dt>Children</dt><dd>{of.children.join(", ") || "none"}</dd></div>
        <div><dt>Limits</dt><dd>{of.limits.join(", ") || "none"}</dd></div>
        <div><dt>Retention</dt><dd>{of.zdr ? "none of what is sent" : "as providers have it"}</dd></div>
      </dl>
      <p>
        <a href={hashOf("calls", "", { tenant: of.name })}>Its calls</a> · Keys: {of.keys.join(", ") || "none"}
      </p>
      {of.budgets.length > 0 && <BudgetLines budgets={of.budgets} />}
      {Object.keys(of.credentials).length > 0 && (
        <section>
          <h3>Its own keys of providers</h3>
          <ul class="plain-list">
            {Object.entries(of.credentials).map(([provider, origin]) => <li key={provider}>{provider}: <span class="soft">{origin || "none"}</span></li>)}
          </ul>
        </section>
      )}
      {entry.error && <Problem error={entry.error} again={entry.again} />}
      {entry.data?.source === "store" ? (
        <>
          <Terms key={entry.data.version} name={of.name} write={saving} before={entry.data.value} version={entry.data.version} done={() => undefined} />
          {write.error && <Problem error={write.error} />}
          <div><Twice word="Remove" sure={`Remove ${of.name} now`} write={write} onSure={() => void remove()} /></div>
        </>
      ) : entry.data && <p class="note-box">It stands in {entry.data.source}; change it there, and reload.</p>}
    </Dialog>
  );
}

// What is not in the form stays as it was; the daemon takes a hidden secret for the one it has.
function Terms({ name, write, before, version, done }: { name?: string; write: Write; before: Record<string, unknown>; version: number; done: () => void }) {
  const text = (member: string) => String(before[member] ?? "");
  const first = ((before.budgets as { usd?: unknown; per?: string }[]) ?? [])[0];
  const others = ((before.budgets as unknown[]) ?? []).slice(1);
  const send = async (given: Record<string, string>) => {
    const changed: Record<string, unknown> = {
      ...before,
      parent: given.parent || null,
      default_model: given.default_model || null,
      max_output: given.max_output ? Number(given.max_output) : null,
      models: listOf(given.models),
      budgets: given.usd ? [{ ...first, usd: Number(given.usd), per: given.per }, ...others] : others,
      credentials: { ...(before.credentials as object), ...(given.provider && given.secret ? { [given.provider]: given.secret } : {}) },
    };
    const value = Object.fromEntries(Object.entries(changed).filter(([, said]) => said !== null && JSON.stringify(said) !== "{}"));
    if (await write.run("PUT", pathOf(name ?? given.name ?? ""), { body: { value }, headers: ifStill(version) })) done();
  };
  return (
    <Form write={write} send={(given) => void send(given)} word={name ? "Put it in force" : "Make it"}>
      {!name && <Text name="name" title="Name" hint="acme" needed />}
      <div class="pair">
        <Text name="parent" title="Parent" hint="none" value={text("parent")} />
        <Text name="default_model" title="Default model" hint="the parent's" value={text("default_model")} />
        <Text name="max_output" title="Output tokens of a call at most" hint="any" type="number" value={text("max_output")} />
      </div>
      <Text name="models" title="Models, with commas; none: all" hint="openai/*" value={((before.models as string[]) ?? []).join(", ")} />
      <div class="pair">
        <Text name="usd" title="Budget in USD" hint="none" type="number" value={String(first?.usd ?? "")} />
        <Choice name="per" title="a" among={PERS} {...(first?.per ? { value: first.per } : {})} />
      </div>
      <div class="pair">
        <Text name="provider" title="A key of its own at the provider" hint="openrouter" />
        <Text name="secret" title="That key, sealed on disk" type="password" />
      </div>
    </Form>
  );
}
