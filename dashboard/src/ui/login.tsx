// Logging in: by an admin token, or at the provider of identity where there is one. Whatever waited for it goes on.
import { useEffect, useRef, useState } from "preact/hooks";
import { keepPageToken, onLogin, read, refusal, sent } from "../api";
import { Dialog } from "./parts";

export function Login() {
  const [waiting, setWaiting] = useState<((done: boolean) => void) | null>(null);
  useEffect(() => onLogin(() => new Promise((done) => setWaiting(() => done))), []);
  if (!waiting) return null;
  const end = (done: boolean) => {
    setWaiting(null);
    waiting(done);
    if (done) dispatchEvent(new Event("login"));
  };
  return (
    <Dialog title={<h2>Log in</h2>} onClose={() => end(false)}>
      <Form done={() => end(true)} />
    </Dialog>
  );
}

interface Ways {
  token: boolean;
  oidc: boolean;
}

function Form({ done }: { done: () => void }) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [ways, setWays] = useState<Ways>({ token: true, oidc: false });
  const token = useRef<HTMLInputElement>(null);
  useEffect(() => {
    void read<Ways>("auth/ways", { quiet: true }).then(setWays, () => undefined);
  }, []);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      const reply = await sent("POST", "auth/session", { body: { token: token.current?.value ?? "" } });
      if (!reply.ok) throw await refusal(reply);
      keepPageToken(((await reply.json()) as { page_token: string }).page_token);
      done();
    } catch (error) {
      setProblem((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <p class="soft">
        {ways.token ? "Use an admin token: the one" : "There is no admin token yet. Put one"} under <code>admin: token:</code>{" "}
        in the configuration, or {ways.token ? "one made" : "make one"} with <code>tollkeeper admins create NAME</code>.
        Without one, <code>tollkeeper dashboard</code> prints a link that logs this browser in.
      </p>
      <label class="field">
        Admin token
        <input ref={token} type="password" autocomplete="current-password" required autofocus />
      </label>
      {problem && (
        <p class="note-box bad" role="alert">
          {problem}
        </p>
      )}
      <div class="row">
        <button class="main" disabled={busy}>
          Log in
        </button>
        {ways.oidc && (
          <a class="button" href={`auth/login?to=${encodeURIComponent(location.pathname)}`}>
            Log in with your organisation
          </a>
        )}
      </div>
    </form>
  );
}
