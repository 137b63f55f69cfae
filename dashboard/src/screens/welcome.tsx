// The first run: what to send where, until the first call shows up by itself.
import { useState } from "preact/hooks";
import { useResource } from "../resource";
import type { Provider, Status } from "../types";
import { Card, Code, State } from "../ui/parts";

const CLIENTS: Record<string, (url: string, needsKey: boolean) => string> = {
  curl: (url, needsKey) =>
    `curl ${url}/v1/chat/completions${needsKey ? ' \\\n  -H "Authorization: Bearer $TOLLKEEPER_KEY"' : ""} \\
  -H "Content-Type: application/json" \\
  -d '{"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'`,
  Python: (url, needsKey) =>
    `from openai import OpenAI

client = OpenAI(base_url="${url}/v1", api_key=${needsKey ? 'os.environ["TOLLKEEPER_KEY"]' : '"none needed"'})
reply = client.chat.completions.create(
    model="openai/gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}]
)
print(reply.choices[0].message.content)`.replace(/^/, needsKey ? "import os\n" : ""),
  "Claude Code": (url, needsKey) =>
    `export ANTHROPIC_BASE_URL=${url}
export ANTHROPIC_AUTH_TOKEN=${needsKey ? "$TOLLKEEPER_KEY" : "none-needed"}
claude`,
};

export function Welcome() {
  const [client, setClient] = useState("curl");
  const status = useResource<Status>("status");
  const keys = useResource<{ open: boolean }>("keys");
  const providers = useResource<{ providers: Provider[] }>("providers");
  const url = status.data?.url ?? "http://127.0.0.1:8655";
  const names = providers.data?.providers.map((one) => one.provider) ?? [];
  const needsKey = keys.data ? !keys.data.open : false;
  return (
    <Card title="Send the first call" aside={<State tone="idle">waiting for it</State>}>
      <div class="body stack">
        <p>
          {names.length ? (
            <>
              Tollkeeper runs, and calls go to <strong>{names.join(", ")}</strong>.
            </>
          ) : (
            "Tollkeeper runs. It has no provider yet: put one under providers: in the configuration, or its key into the environment."
          )}{" "}
          Point a client at <code>{url}/v1</code>
          {needsKey ? (
            <>
              {" "}
              with one of your keys (<code>tollkeeper keys create NAME</code> makes one):
            </>
          ) : (
            "; no key is needed as long as none is made:"
          )}
        </p>
        <div class="row" role="group" aria-label="Client">
          {Object.keys(CLIENTS).map((name) => (
            <button key={name} aria-pressed={name === client} class={name === client ? "main" : ""} onClick={() => setClient(name)}>
              {name}
            </button>
          ))}
        </div>
        <Code>{CLIENTS[client]?.(url, needsKey) ?? ""}</Code>
        <p class="soft">
          The call appears here when it arrives. <code>tollkeeper connect</code> knows more clients.
        </p>
      </div>
    </Card>
  );
}
