// Jobs: how far each is, cancelled here; and what clients were told of them by webhook, sent once more here.
import { count, share } from "../format";
import { useResource } from "../resource";
import { Card, Empty, Head, Problem, State, Waiting, When, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { useWrite, type Write } from "../ui/write";

interface Job {
  id: string;
  key: string;
  kind: "batch" | "call";
  endpoint: string;
  status: string;
  is_open: boolean;
  created_at: string;
  ended_at: string | null;
  expected_end_at: string | null;
  total: number;
  completed: number;
  failed: number;
  errors: string[];
}

interface Webhook {
  id: string;
  job: string;
  key: string;
  host: string;
  state: string;
  reason: string;
  tries: number;
  made_at: string;
}

const MOST = 200;
const TONES: Record<string, Tone> = { completed: "good", delivered: "good", failed: "bad", given_up: "bad", off: "bad", expired: "warn", gone: "warn", dropped: "warn" };
const toneOf = (word: string): Tone => TONES[word] ?? "idle";
const plain = (word: string) => word.replaceAll("_", " ");

export function Jobs() {
  const jobs = useResource<{ jobs: Job[]; has_more: boolean }>(`jobs?limit=${MOST}`, 2000);
  const hooks = useResource<{ webhooks: Webhook[] }>(`webhooks?limit=${MOST}`, 5000);
  const write = useWrite(() => (jobs.again(), hooks.again()), "jobs");
  const error = jobs.error ?? hooks.error;
  return (
    <div class="stack">
      <Head title="Jobs" why={write.why} />
      {error && <Problem error={error} again={() => (jobs.again(), hooks.again())} />}
      {write.error && <Problem error={write.error} />}
      <Card title="Jobs" aside={jobs.data ? `${count(jobs.data.jobs.length)}${jobs.data.has_more ? "+" : ""}` : ""}>
        {!jobs.data && !error && <Waiting />}
        {jobs.data && (jobs.data.jobs.length ? (
          <Table caption="Jobs" columns={jobColumns(write)} rows={jobs.data.jobs} id={(one) => one.id} />
        ) : (
          <Empty title="No job yet">
            A batch, or a call with <code>Prefer: respond-async</code>, is one.
          </Empty>
        ))}
      </Card>
      <Card title="Webhooks" aside={hooks.data ? count(hooks.data.webhooks.length) : ""}>
        {!hooks.data && !error && <Waiting />}
        {hooks.data && (hooks.data.webhooks.length ? (
          <Table caption="Webhooks" columns={hookColumns(write)} rows={hooks.data.webhooks} id={(one) => one.id} />
        ) : (
          <Empty title="No client was told anything">
            A job that is asked for with <code>x-tollkeeper-webhook</code> tells that address when it is over.
          </Empty>
        ))}
      </Card>
    </div>
  );
}

const jobColumns = (write: Write): Column<Job>[] => [
  { name: "Made", of: (one) => <When at={one.created_at} /> },
  { name: "Job", of: (one) => <><span class="cut" title={one.id}>{one.id}</span><span class="cut small soft">{one.endpoint}</span></> },
  { name: "Key", of: (one) => <span class="cut">{one.key || "–"}</span>, wide: true },
  { name: "State", of: (one) => <Standing one={one} /> },
  { name: "Done", of: (one) => <Done one={one} /> },
  { name: "Ends", of: (one) => <Ends one={one} />, wide: true },
  {
    name: "Action",
    right: true,
    of: (one) => one.is_open && one.status !== "cancelling" && (
      <button class="plain" disabled={write.busy} aria-label={`Cancel ${one.id}`} onClick={() => void write.run("DELETE", `jobs/${encodeURIComponent(one.id)}`)}>
        Cancel
      </button>
    ),
  },
];

function Standing({ one }: { one: Job }) {
  return (
    <>
      <State tone={one.status === "completed" && one.failed ? "warn" : toneOf(one.status)}>{plain(one.status)}</State>
      {one.errors[0] && <span class="cut small soft" title={one.errors.join("\n")}>{one.errors[0]}</span>}
    </>
  );
}

function Done({ one }: { one: Job }) {
  const done = one.completed + one.failed;
  return (
    <>
      <span class="num">{count(done)} of {count(one.total)}</span>
      {one.failed > 0 && <span class="small soft">, {count(one.failed)} failed</span>}
      {one.is_open && one.total > 1 && (
        <span class="meter bar" role="meter" aria-label={`Done of ${one.id}`} aria-valuenow={done} aria-valuemin={0} aria-valuemax={one.total} title={share(done, one.total)}>
          <i style={{ width: `${(100 * done) / one.total}%` }} />
        </span>
      )}
    </>
  );
}

function Ends({ one }: { one: Job }) {
  if (one.ended_at) return <When at={one.ended_at} />;
  return one.expected_end_at ? <span class="soft">about <When at={one.expected_end_at} /></span> : <>–</>;
}

const hookColumns = (write: Write): Column<Webhook>[] => [
  { name: "Made", of: (one) => <When at={one.made_at} /> },
  { name: "To", of: (one) => <span class="cut">{one.host}</span> },
  { name: "Job", of: (one) => <span class="cut" title={one.job}>{one.job}</span>, wide: true },
  { name: "Key", of: (one) => <span class="cut">{one.key || "–"}</span>, wide: true },
  { name: "State", of: (one) => <><State tone={toneOf(one.state)}>{plain(one.state)}</State>{one.reason && <span class="cut small soft" title={one.reason}>{one.reason}</span>}</> },
  { name: "Tries", of: (one) => count(one.tries), right: true },
  {
    name: "Action",
    right: true,
    of: (one) => one.state !== "waiting" && (
      <button class="plain" disabled={write.busy} aria-label={`Send again: ${one.id}`} onClick={() => void write.run("POST", `webhooks/${encodeURIComponent(one.id)}/replay`)}>
        Send again
      </button>
    ),
  },
];
