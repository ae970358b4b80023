// An authorisation server by oidc-provider: PKCE required, refresh tokens rotate, and a used one
// ends its whole family. `node server.mjs PORT [CALLBACK]`; says `ready` once it listens.
//
// POST /mint {"grants": n} gives n refresh tokens, as if n people had consented.
// GET /counts gives what was exchanged, refused, and how many families were ended.
// GET /whoami says whose an access token is.
// GET /alive?token=... says whether a refresh token would be taken.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [port, callback] = process.argv.slice(2);
const scope = 'api';

// The library's own store keeps a thousand rows and forgets the rest.
const rows = new Map();
const byUid = new Map();
class Store {
  constructor(kind) { this.kind = kind; }
  async upsert(id, payload) {
    rows.set(`${this.kind}:${id}`, payload);
    if (payload.uid) byUid.set(payload.uid, id);
  }
  async find(id) { return rows.get(`${this.kind}:${id}`); }
  async findByUid(uid) { return this.find(byUid.get(uid)); }
  async findByUserCode() { return undefined; }
  async consume(id) { rows.get(`${this.kind}:${id}`).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { rows.delete(`${this.kind}:${id}`); }
  async revokeByGrantId(grantId) {
    for (const [id, row] of rows) if (row.grantId === grantId) rows.delete(id);
  }
}

const counts = { exchanged: 0, refused: 0, ended: 0 };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'our-app',
    client_secret: 'our-app-secret-canary',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [callback ?? 'https://connect.example/connect/callback/peer'],
  }],
  adapter: Store,
  scopes: ['api'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  ttl: { AccessToken: 1800, RefreshToken: 86400, Grant: 86400, Session: 3600, Interaction: 600 },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});
provider.proxy = true;
provider.on('grant.success', (ctx) => {
  counts.exchanged += ctx.oidc.params.grant_type === 'refresh_token' ? 1 : 0;
});
provider.on('grant.error', () => { counts.refused += 1; });
provider.on('grant.revoked', () => { counts.ended += 1; });

async function consented() {
  const grant = new provider.Grant({ accountId: 'ann', clientId: 'our-app' });
  grant.addOIDCScope(scope);
  return grant.save();
}

async function minted() {
  const grantId = await consented();
  const client = await provider.Client.find('our-app');
  const token = new provider.RefreshToken({
    accountId: 'ann', client, grantId, scope, gty: 'authorization_code', rotations: 0,
    authTime: Math.floor(Date.now() / 1000), iiat: Math.floor(Date.now() / 1000),
  });
  return token.save();
}

async function consents(request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  const result = prompt.name === 'login'
    ? { login: { accountId: 'ann' } }
    : { consent: { grantId: await consented() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function body(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return JSON.parse(text);
}

async function answer(request) {
  const url = new URL(request.url, 'http://127.0.0.1');
  if (url.pathname === '/mint') {
    const { grants } = await body(request);
    return Promise.all(Array.from({ length: grants }, minted));
  }
  if (url.pathname === '/whoami') {
    const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
    const token = await provider.AccessToken.find(bearer);
    return token?.isValid ? { id: token.accountId, name: 'Ann' } : { error: 'invalid_token' };
  }
  if (url.pathname === '/alive') {
    const token = await provider.RefreshToken.find(url.searchParams.get('token'));
    return { alive: Boolean(token && token.isValid && !token.consumed) };
  }
  return url.pathname === '/counts' ? counts : undefined;
}

const theirs = provider.callback();
createServer(async (request, response) => {
  if (request.url.startsWith('/interaction/')) {
    await consents(request, response);
    return;
  }
  const ours = await answer(request);
  if (ours === undefined) {
    theirs(request, response);
    return;
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(ours));
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
