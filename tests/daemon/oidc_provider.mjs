// A provider of identity for the tests (npm's oidc-provider): user NAME has the groups that its name lists, joined by "+".
// Prints its address once it listens.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import http from "node:http";

const [, , home, redirect] = process.argv;
const require = createRequire(`${home}/package.json`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const server = http.createServer((request, response) => handle(request, response));
let handle = () => undefined;
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "tollkeeper", client_secret: "client-canary/+", redirect_uris: [redirect],
      grant_types: ["authorization_code"], response_types: ["code"],
    }],
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: ["of-the-test"] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.org`, email_verified: true, groups: id.split("+") }),
    }),
  });
  handle = provider.callback();
  console.log(issuer);
});
