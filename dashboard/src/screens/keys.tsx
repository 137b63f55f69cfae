// Client keys: what each may and has spent; made, renewed and revoked here.
import { useState } from "preact/hooks";
import { count } from "../format";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import type { Budget } from "../types";
import { BudgetLines } from "../ui/budgets";
import { Card, Code, Dialog, Empty, Head, Problem, State, Usd, Waiting, When } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Choice, Form, listOf, Text, Twice, useWrite, type Write } from "../ui/write";

interface Key {
  name: string;
  from: string;
  models: string[];
  limits: string[];
  budgets: Budget[];
  spent_usd: string;
  expired: boolean;
  expires_at: string | null;
  last_used_at: string | null;
  tenant: string | null;
}

const PERS = ["day", "week", "month", "hour", "total"];
const DAY_MS = 86_400_000;

// of a key of the file nothing is kept beyond the daemon's life: it may have been used before
const unused = (key: Key): string => (key.from === "store" ? "never" : "–");

const COLUMNS: Column<Key>[] = [
  { name: "Name", of: (key) => <span class="cut">{key.name}</span> },
  { name: "Tenant", of: (key) => key.tenant ?? "–", wide: true },
  { name: "Models", of: (key) => <span class="cut">{key.models.join(", ") || "all"}</span>, wide: true },
  { name: "Budgets", of: (key) => <span class="cut">{key.budgets.length ? key.budgets.map((one, n) => <span key={one.budget}>{n ? ", " : ""}<Usd of={one.cap_usd} /> {one.per === "total" ? "in all" : `a ${one.per}`}</span>) : "–"}</span>, wide: true },
  { name: "Spent", of: (key) => <Usd of={key.spent_usd} />, right: true },
  { name: "Last used", of: (key) => (key.last_used_at ? <When at={key.last_used_at} /> : unused(key)), wide: true },
  { name: "State", of: (key) => <State tone={key.expired ? "bad" : "good"}>{key.expired ? "expired" : "in force"}</State> },
];

export function Keys({ place }: { place: Place }) {
  const { data, error, again } = useResource<{ keys: Key[]; open: boolean }>("keys", 10_000);
  const [making, setMaking] = useState(false);
  const write = useWrite(again, "keys");
  const chosen = data?.keys.find((key) => key.name === place.rest);
  return (
    <div class="stack">
      <Head title="Keys" why={write.why}>
        <button class="main" disabled={write.why !== ""} onClick={() => setMaking(true)}>
          New key
        </button>
      </Head>
      {error && <Problem error={error} again={again} />}
      {data?.open && <p class="note-box">Everybody on this machine may call without a key. With the first key, only keys may.</p>}
      <Card title="Client keys" aside={data ? count(data.keys.length) : ""}>
        {!data && !error && <Waiting />}
        {data?.keys.length === 0 && <Empty title="No key yet">A key gives a client its own budget, limits and models.</Empty>}
        {data && data.keys.length > 0 && (
          <Table caption="Client keys" columns={COLUMNS} rows={data.keys} id={(key) => key.name} href={(key) => hashOf("keys", key.name)} />
        )}
      </Card>
      {making && <Making write={write} close={() => setMaking(false)} />}
      {chosen && <One key={chosen.name} of={chosen} write={write} />}
    </div>
  );
}

function Secret({ name, secret }: { name: string; secret: string }) {
  return (
    <div class="stack">
      <p>
        This is the secret of <strong>{name}</strong>. It is shown this once; only its hash is kept.
      </p>
      <Code>{secret}</Code>
    </div>
  );
}

function Making({ write, close }: { write: Write; close: () => void }) {
  const [made, setMade] = useState<{ name: string; secret: string } | null>(null);
  const send = async (given: Record<string, string>) => {
    const body = {
      name: given.name,
      models: listOf(given.models),
      budgets: given.usd ? [{ usd: Number(given.usd), per: given.per }] : [],
      limits: given.requests ? [{ requests: Number(given.requests), per: "minute" }] : [],
      ...(given.tenant ? { tenant: given.tenant } : {}),
      ...(given.days ? { expires_ms: Date.now() + Number(given.days) * DAY_MS } : {}),
    };
    setMade(await write.run("POST", "keys", { body }));
  };
  return (
    <Dialog title={<h2>New key</h2>} onClose={close}>
      {made ? (
        <Secret {...made} />
      ) : (
        <Form write={write} send={(given) => void send(given)} word="Make it">
          <Text name="name" title="Name" needed />
          <Text name="models" title="Models, with commas; none: all" hint="openai/*, storyteller" />
          <div class="pair">
            <Text name="usd" title="Budget in USD" hint="none" type="number" />
            <Choice name="per" title="a" among={PERS} />
          </div>
          <div class="pair">
            <Text name="requests" title="Requests a minute" hint="no limit" type="number" />
            <Text name="days" title="Ends after days" hint="never" type="number" />
          </div>
          <Text name="tenant" title="Tenant" hint="none" />
        </Form>
      )}
    </Dialog>
  );
}

function One({ of, write }: { of: Key; write: Write }) {
  const [made, setMade] = useState<{ name: string; secret: string } | null>(null);
  const path = `keys/${encodeURIComponent(of.name)}`;
  const close = () => go(hashOf("keys"));
  const rotate = async () => setMade(await write.run("POST", `${path}/rotations`, { body: { grace_seconds: 86_400 } }));
  const revoke = async () => (await write.run("DELETE", path)) && close();
  return (
    <Dialog sheet title={<h2>{of.name}</h2>} onClose={close}>
      <dl class="facts">
        <div><dt>Models</dt><dd>{of.models.join(", ") || "all"}</dd></div>
        <div><dt>Limits</dt><dd>{of.limits.join(", ") || "none"}</dd></div>
        <div><dt>Ends</dt><dd>{of.expires_at ? <When at={of.expires_at} /> : "never"}</dd></div>
        <div><dt>Defined in</dt><dd>{of.from}</dd></div>
      </dl>
      <p>
        <a href={hashOf("calls", "", { key: of.name })}>Its calls</a>
      </p>
      {of.budgets.length > 0 && <BudgetLines budgets={of.budgets} />}
      {made && <Secret {...made} />}
      {of.from === "store" && <Terms key={JSON.stringify([of.models, of.budgets.map((one) => one.cap_usd), of.expires_at, of.tenant])} of={of} write={write} />}
      {of.from === "store" ? (
        <div class="row">
          <button disabled={write.busy} onClick={() => void rotate()}>
            New secret, the old one for a day
          </button>
          <Twice word="Revoke" sure={`Revoke ${of.name} now`} write={write} onSure={() => void revoke()} />
        </div>
      ) : (
        <p class="note-box">It stands in the configuration file; change it there, and reload.</p>
      )}
    </Dialog>
  );
}

// What is left empty is none; what nobody has changed here is not sent, as somebody else may have meanwhile. Limits stay as they are unless one is given; several budgets are too much for these fields.
function Terms({ of, write }: { of: Key; write: Write }) {
  const first = of.budgets[0];
  const isPlain = of.budgets.length <= 1 && !first?.shadow;
  const pers = first && !PERS.includes(first.per) ? [first.per, ...PERS] : PERS;
  const send = (given: Record<string, string>) => {
    const isSame = !isPlain || (given.usd === (first ? String(Number(first.cap_usd)) : "") && given.per === (first?.per ?? PERS[0]));
    const models = listOf(given.models);
    const tenant = given.tenant || null;
    const body = {
      ...(String(models) === String(of.models) ? {} : { models }),
      ...(tenant === (of.tenant ?? null) ? {} : { tenant }),
      ...(isSame ? {} : { budgets: given.usd ? [{ usd: Number(given.usd), per: given.per }] : [] }),
      ...(given.requests ? { limits: [{ requests: Number(given.requests), per: "minute" }] } : {}),
      ...(given.days ? { expires_ms: Date.now() + Number(given.days) * DAY_MS } : {}),
    };
    void write.run("PATCH", `keys/${encodeURIComponent(of.name)}`, { body });
  };
  return (
    <Form write={write} send={send} word="Put it in force">
      <Text name="models" title="Models, with commas; none: all" hint="openai/*, storyteller" value={of.models.join(", ")} />
      {isPlain ? (
        <div class="pair">
          <Text name="usd" title="Budget in USD" hint="none" type="number" value={first ? String(Number(first.cap_usd)) : ""} />
          <Choice name="per" title="a" among={pers} value={first?.per ?? PERS[0]!} />
        </div>
      ) : (
        <p class="soft small">Its budgets are changed by <code>tollkeeper keys update {of.name} --budget …</code></p>
      )}
      <div class="pair">
        <Text name="requests" title="Requests a minute" hint={of.limits.join(", ") || "no limit"} type="number" />
        <Text name="days" title="Ends after days" hint={of.expires_at ? "as it is" : "never"} type="number" />
        <Text name="tenant" title="Tenant" hint="none" value={of.tenant ?? ""} />
      </div>
    </Form>
  );
}
