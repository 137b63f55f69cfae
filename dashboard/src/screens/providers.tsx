// Providers: how each fares, tried by a button; another one with its key, and the keys there are.
import { useState } from "preact/hooks";
import { count, milliseconds } from "../format";
import { useResource } from "../resource";
import { go, hashOf, type Place } from "../router";
import type { Provider } from "../types";
import { Card, Dialog, Empty, Head, Problem, State, Waiting } from "../ui/parts";
import { LastHour, ProviderState, useLastHour } from "../ui/provider";
import { Table, type Column } from "../ui/table";
import { Choice, Form, ifStill, Text, useWrite, type Write } from "../ui/write";
import { ProviderSheet, Sealed } from "./credentials";

interface Tried {
  provider: string;
  ok: boolean;
  status: number | null;
  seconds: number;
  asked: string;
  meaning: string;
  next_step: string | null;
}

export function Providers({ place }: { place: Place }) {
  const { data, error, again } = useResource<{ providers: Provider[] }>("providers", 5000);
  const [tried, setTried] = useState<Tried | null>(null);
  const [adding, setAdding] = useState(false);
  const write = useWrite(again, "models");
  const saving = useWrite(again, "settings");
  const hours = useLastHour();
  const chosen = data?.providers.find((one) => one.provider === place.rest && !one.tenant);
  const test = async (name: string) => setTried(await write.run<Tried>("POST", `providers/${encodeURIComponent(name)}/test`));
  const columns: Column<Provider>[] = [
    { name: "Provider", of: (one) => <><strong>{one.provider}</strong> {one.tenant && <span class="tag">{one.tenant}</span>}</> },
    { name: "State", of: (one) => <><ProviderState provider={one} hours={hours} /><div class="soft small"><LastHour provider={one} hours={hours} /></div></> },
    { name: "Under way", of: (one) => count(one.in_flight), right: true, wide: true },
    { name: "Address", of: (one) => <span class="cut soft">{one.base_url}</span>, wide: true },
    { name: "Key from", of: (one) => <span class="cut soft">{one.key_source}</span>, wide: true },
    {
      name: "Action",
      right: true,
      of: (one) => (
        <button class="plain" disabled={write.busy} onClick={() => void test(one.provider)} aria-label={`Test ${one.provider}`}>
          Test
        </button>
      ),
    },
  ];
  return (
    <div class="stack">
      <Head title="Providers" why={saving.why}>
        <button class="main" disabled={saving.why !== ""} onClick={() => setAdding(true)}>
          New provider
        </button>
      </Head>
      {error && <Problem error={error} again={again} />}
      {write.error && !adding && !chosen && <Problem error={write.error} />}
      {tried && <Result of={tried} />}
      <Card title="Providers">
        {!data && !error && <Waiting />}
        {data?.providers.length === 0 && <Empty title="No provider is configured">Add one with its key.</Empty>}
        {data && data.providers.length > 0 && (
          <Table caption="Providers" columns={columns} rows={data.providers} id={(one) => `${one.provider} ${one.tenant}`} href={(one) => hashOf("providers", one.provider)} />
        )}
      </Card>
      <Sealed />
      {chosen && <ProviderSheet key={chosen.provider} of={chosen} write={saving} after={again} close={() => go(hashOf("providers"))} />}
      {adding && <Adding write={saving} close={() => setAdding(false)} />}
    </div>
  );
}

function Result({ of }: { of: Tried }) {
  return (
    <div class={`note-box${of.ok ? "" : " bad"}`} role="status">
      <State tone={of.ok ? "good" : "bad"}>
        {of.provider}: {of.meaning}
      </State>
      <div class="soft small">
        {of.asked} answered {of.status ?? "nothing"} in {milliseconds(1000 * of.seconds)}. {of.next_step}
      </div>
    </div>
  );
}

function Adding({ write, close }: { write: Write; close: () => void }) {
  const send = async (given: Record<string, string>) => {
    const value = Object.fromEntries(
      [["kind", given.kind], ["base_url", given.base_url], ["api_key", given.api_key]].filter(([, text]) => text),
    );
    if (await write.run("PUT", `settings/providers/${encodeURIComponent(given.name ?? "")}`, { body: { value }, headers: ifStill() })) close();
  };
  return (
    <Dialog title={<h2>New provider</h2>} onClose={close}>
      <Form write={write} send={(given) => void send(given)} word="Add it">
        <Text name="name" title="Name" hint="gpu1" needed />
        <Choice name="kind" title="Kind" among={["openai", "openrouter", "anthropic", "mock"]} />
        <Text name="base_url" title="Address" hint="as the kind says" />
        <Text name="api_key" title="Its key, sealed on disk" type="password" />
      </Form>
    </Dialog>
  );
}
