// What people do with node-redis, as a transcript: node client.mjs HOST PORT single|cluster|plain-on-cluster [PROTOCOL]
// The transcript must be the same whether a server answers or a proxy before it. Nothing in it may depend on chance,
// ports or time. Lines of a section whose order is not given by the server are sorted before they are printed.

import { createHash } from 'node:crypto';
import { createClient, createClientPool, createCluster, defineScript, RESP_TYPES } from 'redis';

const [host, port, mode, protocol = '3'] = process.argv.slice(2);
const RESP = Number(protocol);
const clustered = mode === 'cluster';
const spread = mode !== 'single';           // databases but 0 and what is asked of one node alone are left out
const once = { host, port, reconnectStrategy: false };
const opened = [];

const SCRIPTS = {
  add: defineScript({
    SCRIPT: 'return redis.call("INCRBY", KEYS[1], ARGV[1])',
    NUMBER_OF_KEYS: 1,
    parseCommand(parser, key, by) { parser.pushKey(key); parser.push(String(by)); },
    transformReply: (reply) => reply,
  }),
};

async function connect(options = {}) {
  const given = { RESP, scripts: SCRIPTS, ...options };
  const client = clustered
    ? createCluster({ rootNodes: [{ socket: { host, port } }], defaults: given, RESP, scripts: SCRIPTS })
    : createClient({ socket: { host, port }, ...given });
  client.on('error', () => {});
  opened.push(client);
  await client.connect();
  return client;
}

// ---- printing

function plain(value) {
  if (value instanceof Error) return { error: value.message };
  if (Buffer.isBuffer(value)) {
    return value.length > 300 ? { size: value.length, sha1: createHash('sha1').update(value).digest('hex') } : { hex: value.toString('hex') };
  }
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [String(key), plain(each)]));
  if (value instanceof Set) return [...value].map(plain).sort();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'string' && value.length > 300) return plain(Buffer.from(value, 'latin1'));
  if (typeof value === 'bigint') return { bigint: String(value) };
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.keys(value).sort().map((key) => [key, plain(value[key])]));
  }
  return value === undefined ? 'undefined' : value;
}

let section = '';
const say = (name, value) => console.log(`${section}.${name}: ${JSON.stringify(plain(value))}`);

async function tell(name, work) {
  let value;
  try {
    value = await (typeof work === 'function' ? work() : work);
  } catch (error) {
    value = error.replies ?? error;       // of a transaction: with its errors in their places
  }
  say(name, value);
  return value;
}

const sorted = (values) => [...values].map((each) => (Buffer.isBuffer(each) ? each.toString('hex') : each)).sort();
const raw = (client, first, ...words) => (clustered ? client.sendCommand(first, false, words) : client.sendCommand(words));

// ---- the work

const sections = {
  async connecting(c) {
    await tell('ping', clustered ? raw(c, undefined, 'PING') : c.ping());
    if (clustered) return;
    const named = await connect({ name: 'somebody' });
    await tell('name', named.clientGetName());
    const info = await named.clientInfo();
    say('info', { name: info.name, libName: info.libName, libVer: info.libVer, resp: info.resp, user: info.user, db: info.db });
    const hello = await c.hello();
    say('hello', { proto: hello.proto, role: hello.role, server: hello.server });
    await tell('echo', c.echo('žluťoučký kůň'));
    await tell('quit', named.close());
  },

  async strings(c) {
    await tell('set', c.set('s', 'v'));
    await tell('get', c.get('s'));
    await tell('missing', c.get('missing'));
    await tell('nx', c.set('s', 'w', { condition: 'NX' }));
    await tell('xx-get', c.set('s', 'w', { condition: 'XX', GET: true }));
    await tell('ex', c.set('t', '1', { expiration: { type: 'EX', value: 100 } }));
    await tell('ttl', async () => { const ttl = await c.ttl('t'); return ttl > 90 && ttl <= 100; });
    await tell('persist', c.persist('t'));
    await tell('incr', c.incr('n'));
    await tell('incrBy', c.incrBy('n', 41));
    await tell('incrByFloat', c.incrByFloat('f', 0.5));
    await tell('big-number', async () => { await c.set('big', '9007199254740993'); return c.incr('big'); });
    await tell('append', c.append('s', '-more'));
    await tell('getRange', c.getRange('s', 2, 4));
    await tell('setRange', c.setRange('s', 1, 'XY'));
    await tell('strLen', c.strLen('s'));
    await tell('getDel', c.getDel('s'));
    await tell('getEx', c.getEx('n', { type: 'PERSIST' }));
    await tell('type', c.type('n'));
    const tag = clustered ? '{m}' : 'm';
    await tell('mSet', c.mSet({ [`${tag}1`]: 'a', [`${tag}2`]: 'b', [`${tag}3`]: 'c' }));
    await tell('mGet', c.mGet([`${tag}3`, `${tag}none`, `${tag}1`]));
    await tell('exists', c.exists([`${tag}1`, `${tag}2`, `${tag}none`]));
    await tell('touch', c.touch([`${tag}1`, `${tag}none`]));
    await tell('del', c.del([`${tag}1`, `${tag}2`, `${tag}none`]));
    await tell('unlink', c.unlink([`${tag}3`]));
    await tell('setBit', c.setBit('bits', 7, 1));
    await tell('bitCount', c.bitCount('bits'));
    await tell('bitField', c.bitField('bits', [{ operation: 'INCRBY', encoding: 'u8', offset: 0, increment: 5 }]));
    await tell('copy', async () => { await c.set('{cp}a', 'x'); return c.copy('{cp}a', '{cp}b'); });
    await tell('rename', c.rename('{cp}b', '{cp}c'));
    await tell('lcs', async () => { await c.mSet({ '{l}a': 'ohmytext', '{l}b': 'mynewtext' }); return c.lcs('{l}a', '{l}b'); });
  },

  async binary(c) {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const b = c.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    await tell('set', b.set(all, all));
    await tell('get', b.get(all));
    await tell('empty', async () => { await b.set('empty', ''); return b.get('empty'); });
    for (const size of [16383, 65536, 1 << 20, 9 << 20]) {
      const value = Buffer.alloc(size, createHash('sha512').update(String(size)).digest());
      await tell(`set-${size}`, b.set('large', value));
      await tell(`get-${size}`, b.get('large'));
    }
    await tell('many', async () => {
      const values = Array.from({ length: 50 }, (_, i) => Buffer.alloc(i * 3000, i));
      await Promise.all(values.map((value, i) => b.set(`large${i}`, value)));
      const got = await Promise.all(values.map((_, i) => b.get(`large${i}`)));
      return got.every((value, i) => value.equals(values[i]));
    });
    await tell('hash', async () => { await b.hSet('bh', { a: all }); return b.hGet('bh', 'a'); });
    await b.del('large');
  },

  async hashes(c) {
    await tell('hSet', c.hSet('h', { a: '1', b: '2', 'c d': 'three' }));
    await tell('hGetAll', c.hGetAll('h'));
    await tell('hGetAll-missing', c.hGetAll('missing'));
    await tell('hmGet', c.hmGet('h', ['a', 'none', 'c d']));
    await tell('hIncrBy', c.hIncrBy('h', 'a', 5));
    await tell('hIncrByFloat', c.hIncrByFloat('h', 'b', 1.25));
    await tell('hKeys', async () => sorted(await c.hKeys('h')));
    await tell('hDel', c.hDel('h', ['a', 'none']));
    await tell('hExists', c.hExists('h', 'b'));
    await tell('hLen', c.hLen('h'));
    await tell('hRandField', c.hRandFieldCountWithValues('missing', 3));
    await tell('hExpire', c.hExpire('h', ['b'], 100));      // newer than the server: its error
  },

  async lists(c) {
    await tell('rPush', c.rPush('l', ['a', 'b', 'c', 'd']));
    await tell('lPush', c.lPush('l', 'z'));
    await tell('lRange', c.lRange('l', 0, -1));
    await tell('lPos', c.lPos('l', 'c'));
    await tell('lPopCount', c.lPopCount('l', 2));
    await tell('lInsert', c.lInsert('l', 'BEFORE', 'c', 'bb'));
    await tell('lSet', c.lSet('l', 0, 'first'));
    await tell('lMove', c.lMove('l', 'l', 'LEFT', 'RIGHT'));
    await tell('lTrim', c.lTrim('l', 0, 1));
    await tell('lLen', c.lLen('l'));
    await tell('lmPop', c.lmPop(['l'], 'LEFT', { COUNT: 10 }));
  },

  async sets(c) {
    await tell('sAdd', c.sAdd('{s}a', ['1', '2', '3']));
    await c.sAdd('{s}b', ['2', '3', '4']);
    await tell('sMembers', async () => sorted(await c.sMembers('{s}a')));
    await tell('smIsMember', c.smIsMember('{s}a', ['1', '9']));
    await tell('sInter', async () => sorted(await c.sInter(['{s}a', '{s}b'])));
    await tell('sUnionStore', c.sUnionStore('{s}c', ['{s}a', '{s}b']));
    await tell('sInterCard', c.sInterCard(['{s}a', '{s}b'], { LIMIT: 1 }));
    await tell('sDiff', async () => sorted(await c.sDiff(['{s}a', '{s}b'])));
    await tell('sMove', c.sMove('{s}a', '{s}b', '1'));
    await tell('sPop', async () => (await c.sPopCount('{s}a', 10)).length);
  },

  async sorted_sets(c) {
    await tell('zAdd', c.zAdd('{z}', [{ score: 1, value: 'a' }, { score: 2.5, value: 'b' }, { score: Infinity, value: 'c' }]));
    await tell('zRangeWithScores', c.zRangeWithScores('{z}', 0, -1));
    await tell('zRange-score', c.zRange('{z}', '(1', '+inf', { BY: 'SCORE' }));
    await tell('zScore', c.zScore('{z}', 'b'));
    await tell('zmScore', c.zmScore('{z}', ['a', 'none']));
    await tell('zIncrBy', c.zIncrBy('{z}', 0.25, 'a'));
    await tell('zRank', c.zRank('{z}', 'b'));
    await tell('zCount', c.zCount('{z}', '-inf', 3));
    await tell('zPopMin', c.zPopMin('{z}'));
    await tell('zPopMaxCount', c.zPopMaxCount('{z}', 2));
    await tell('zUnion', async () => { await c.zAdd('{z}2', { score: 3, value: 'x' }); return c.zUnionWithScores(['{z}', '{z}2']); });
  },

  async streams(c) {
    for (let i = 1; i <= 5; i++) await c.xAdd('x', `${i}-1`, { n: String(i), text: 'entry' });
    await tell('xAdd-old', c.xAdd('x', '1-1', { a: 'b' }));
    await tell('xLen', c.xLen('x'));
    await tell('xRange', c.xRange('x', '-', '+', { COUNT: 2 }));
    await tell('xRevRange', c.xRevRange('x', '+', '-', { COUNT: 1 }));
    await tell('xRead', c.xRead({ key: 'x', id: '3-1' }));
    await tell('xGroupCreate', c.xGroupCreate('x', 'g', '0'));
    await tell('xGroupCreate-twice', c.xGroupCreate('x', 'g', '0'));
    await tell('xReadGroup', c.xReadGroup('g', 'alice', { key: 'x', id: '>' }, { COUNT: 2 }));
    await tell('xAck', c.xAck('x', 'g', '1-1'));
    await tell('xPending', c.xPending('x', 'g'));
    await tell('xClaimJustId', c.xClaimJustId('x', 'g', 'bob', 0, ['2-1']));
    await tell('xAutoClaim', c.xAutoClaim('x', 'g', 'carol', 0, '0'));
    await tell('xTrim', c.xTrim('x', 'MAXLEN', 2));
    await tell('xDel', c.xDel('x', '5-1'));
    await tell('xRead-none', c.xRead({ key: 'x', id: '9-1' }));
  },

  async other_types(c) {
    await tell('pfAdd', c.pfAdd('hll', ['a', 'b', 'c']));
    await tell('pfCount', c.pfCount('hll'));
    await tell('geoAdd', c.geoAdd('geo', [{ longitude: 13.361389, latitude: 38.115556, member: 'Palermo' }, { longitude: 15.087269, latitude: 37.502669, member: 'Catania' }]));
    await tell('geoDist', c.geoDist('geo', 'Palermo', 'Catania', 'km'));
    await tell('geoSearch', async () => sorted(await c.geoSearch('geo', { longitude: 15, latitude: 37 }, { radius: 200, unit: 'km' })));
    await tell('geoPos', c.geoPos('geo', ['Palermo', 'none']));
  },

  async scanning(c) {
    await Promise.all(Array.from({ length: 300 }, (_, i) => c.set(`scan:${i}`, i.toString())));
    await c.hSet('scanh', Object.fromEntries(Array.from({ length: 700 }, (_, i) => [`f${i}`, `${i}`])));
    await c.sAdd('scans', Array.from({ length: 700 }, (_, i) => `m${i}`));
    await c.zAdd('scanz', Array.from({ length: 700 }, (_, i) => ({ score: i, value: `m${i}` })));
    const digest = (values) => createHash('sha1').update(sorted(new Set(values)).join()).digest('hex');
    if (!clustered) {
      const keys = [];
      for await (const some of c.scanIterator({ MATCH: 'scan:*', COUNT: 20 })) keys.push(...some);
      say('scan', { count: new Set(keys).size, digest: digest(keys) });
      await tell('keys', async () => digest(await c.keys('scan:*')));
      await tell('dbSize', async () => (await c.dbSize()) >= 300);
    }
    const fields = [], members = [], scores = [];
    const whole = async (scan, take) => {           // the iterators of node-redis are not there in a cluster
      let cursor = '0';
      do {
        const page = await scan(cursor);
        take(page);
        cursor = page.cursor;
      } while (cursor !== '0');
    };
    await whole((at) => c.hScan('scanh', at, { COUNT: 50 }), (page) => fields.push(...page.entries.map((each) => `${each.field}=${each.value}`)));
    await whole((at) => c.sScan('scans', at, { COUNT: 50 }), (page) => members.push(...page.members));
    await whole((at) => c.zScan('scanz', at, { COUNT: 50 }), (page) => scores.push(...page.members.map((each) => `${each.value}=${each.score}`)));
    say('hScan', { count: new Set(fields).size, digest: digest(fields) });
    say('sScan', { count: new Set(members).size, digest: digest(members) });
    say('zScan', { count: new Set(scores).size, digest: digest(scores) });
  },

  async pipelines(c) {
    await tell('automatic', async () => {
      const replies = await Promise.all(Array.from({ length: 1000 }, (_, i) => (i % 2 ? c.get(`p${i - 1}`) : c.set(`p${i}`, `v${i}`))));
      return createHash('sha1').update(replies.join()).digest('hex');
    });
    const batch = c.multi();
    for (let i = 0; i < 500; i++) batch.incr('{p}n').lPush('{p}l', String(i));
    await tell('explicit', async () => createHash('sha1').update((await batch.execAsPipeline()).join()).digest('hex'));
    await tell('errors', async () => (await Promise.allSettled([c.set('pe', 'x'), c.incr('pe'), c.get('pe'), c.lPush('pe', 'x')]))
      .map((each) => each.reason?.message ?? each.value));
  },

  async transactions(c) {
    await tell('exec', c.multi().set('{t}a', '1').incr('{t}a').get('{t}a').hSet('{t}h', 'f', 'v').hGetAll('{t}h').exec());
    await tell('error-inside', c.multi().set('{t}s', 'x').incr('{t}s').get('{t}s').exec());
    await tell('aborted', c.multi().addCommand ? c.multi().set('{t}a', '5').addCommand(...(clustered ? ['{t}a', false, ['GET']] : [['GET']])).exec() : 'none');
    await tell('after', c.get('{t}a'));
    if (clustered) return;
    await tell('watch', async () => {
      const own = await connect();
      await own.watch('{t}a');
      const value = Number(await own.get('{t}a'));
      const done = await own.multi().set('{t}a', value * 10).exec();
      await own.watch('{t}a');
      await c.set('{t}a', 'changed');
      let lost = '';
      try { await own.multi().set('{t}a', 'mine').exec(); } catch (error) { lost = error.constructor.name; }
      await own.watch('{t}a');
      await own.unwatch();
      await c.set('{t}a', 'again');
      const unwatched = await own.multi().get('{t}a').exec();
      await own.close();
      return { value, done, lost, unwatched };
    });
    await tell('pool', async () => {
      const pool = createClientPool({ socket: { host, port }, RESP }, { minimum: 1, maximum: 10 });
      await pool.connect();
      await pool.set('{t}n', '0');
      const bump = () => pool.execute(async (own) => {
        for (;;) {
          await own.watch('{t}n');
          const value = Number(await own.get('{t}n'));
          try { return await own.multi().set('{t}n', value + 1).exec(); } catch { /* somebody was faster */ }
        }
      });
      await Promise.all(Array.from({ length: 25 }, bump));
      const total = await pool.get('{t}n');
      await pool.close();
      return total;
    });
  },

  async scripts(c) {
    await tell('eval', c.eval('return {KEYS[1], ARGV[1], 3, false, {ok="fine"}}', { keys: ['{e}k'], arguments: ['x'] }));
    const sha = createHash('sha1').update('return ARGV[1]').digest('hex');
    await tell('noscript', c.evalSha(sha, { keys: ['{e}k'], arguments: ['y'] }));
    await tell('defined', c.add('{e}n', 5));            // EVALSHA, NOSCRIPT, EVAL
    await tell('defined-again', c.add('{e}n', 5));
    await tell('in-a-batch', c.multi().set('{e}n', '1').add('{e}n', 2).exec());
    await tell('error', c.eval('return redis.call("INCR", KEYS[1])', { keys: ['e-wrong'], arguments: [] }).then(() => c.eval('return redis.error_reply("MY own")')));
    await tell('raises', c.eval('error("thrown")', { keys: ['{e}k'] }));
    await tell('readonly', c.evalRo('return redis.call("GET", KEYS[1])', { keys: ['{e}n'] }));
    if (clustered) return;
    await tell('load', c.scriptLoad('return 7'));
    await tell('exists', c.scriptExists([createHash('sha1').update('return 7').digest('hex'), sha]));
    await tell('function', c.functionLoad('#!lua name=lib\nredis.register_function("f", function(k, a) return {k[1], a[1]} end)', { REPLACE: true }));
    await tell('fcall', c.fCall('f', { keys: ['{e}k'], arguments: ['z'] }));
  },

  async subscriptions(c) {
    const sub = await connect();
    const heard = [];
    const hear = (kind) => (message, channel) => heard.push(`${kind} ${channel} ${message}`);
    await sub.subscribe(['news', 'weather'], hear('message'));
    await sub.pSubscribe('w*', hear('pattern'));
    await sub.sSubscribe('shard', hear('shard'));
    const until = async (count) => { while (heard.length < count) await new Promise((resolve) => setImmediate(resolve)); };
    for (let i = 0; i < 50; i++) await c.publish('news', `n${i}`);
    await until(50);
    await c.publish('weather', 'rain');
    await until(52);
    await c.sPublish('shard', 'mine');
    await until(53);
    if (clustered) heard.sort();                    // published over several nodes
    say('heard', [...heard.slice(0, 50), ...heard.slice(50).sort()]);
    await sub.unsubscribe('news');
    await tell('to-nobody', c.publish('news', 'x'));
    await sub.unsubscribe('weather');
    await sub.pUnsubscribe('w*');
    await sub.sUnsubscribe('shard');
    await tell('afterwards', sub.set('sub', 'still works'));
    await sub.close();
  },

  async blocking(c) {
    const own = await connect();
    await tell('timeout', own.blPop('{b}none', 0.05));
    await tell('there', async () => { await c.rPush('{b}l', 'x'); return own.blPop(['{b}l', '{b}m'], 1); });
    await tell('comes', async () => {
      const waiting = own.blPop('{b}later', 10);
      await c.rPush('{b}later', 'came');
      return waiting;
    });
    await tell('blMove', async () => { await c.rPush('{b}src', 'm'); return own.blMove('{b}src', '{b}dst', 'LEFT', 'RIGHT', 1); });
    await tell('bzPopMin', async () => { await c.zAdd('{b}z', { score: 2, value: 'z' }); return own.bzPopMin('{b}z', 1); });
    await tell('xRead', async () => {
      const waiting = own.xRead({ key: '{b}x', id: '$' }, { BLOCK: 10000 });
      for (;;) {
        await c.xAdd('{b}x', '*', { a: '1' });
        const first = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 5, null))]);
        if (first) return first[0]?.messages?.[0]?.message ?? Object.values(first)[0]?.[0]?.message ?? first;
      }
    });
    await own.close();
  },

  async errors(c) {
    await c.set('str', 'x');
    await tell('wrong-type', c.lPush('str', 'x'));
    await tell('not-a-number', c.incr('str'));
    await tell('unknown', raw(c, 'str', 'NOSUCH', 'str'));
    await tell('arity', raw(c, 'str', 'GET'));
    await tell('syntax', raw(c, 'str', 'SET', 'str', 'x', 'NONSENSE'));
    await tell('out-of-range', c.lSet('none', 5, 'x'));
    await tell('object', c.objectEncoding('str'));
    await tell('still-works', c.get('str'));
  },

  async databases_and_users(c) {
    if (spread) return;
    const other = await connect({ database: 5 });
    await tell('set', other.set('only', 'in 5'));
    await tell('not-in-0', c.get('only'));
    await tell('select', async () => { await other.select(6); return other.get('only'); });
    await tell('no-such', connect({ database: 99, socket: once }));
    await c.aclSetUser('carol', ['reset', 'on', '>secret', '~c:*', '+@read', '+@connection', '+hello', '+select', '+client']);
    const carol = await connect({ username: 'carol', password: 'secret' });
    await tell('whoami', carol.aclWhoAmI());
    await tell('may', carol.get('c:1'));
    await tell('key-denied', carol.get('d:1'));
    await tell('command-denied', carol.set('c:1', 'x'));
    await tell('wrong-password', connect({ username: 'carol', password: 'wrong', socket: once }));
    await c.aclDelUser('carol');
  },

  async many_clients() {
    const clients = await Promise.all(Array.from({ length: clustered ? 3 : 20 }, () => connect()));
    await Promise.all(clients.map(async (own, i) => {
      for (let n = 0; n < 50; n++) {
        await own.set(`own:${i}`, `${n}`);
        const [back] = await Promise.all([own.get(`own:${i}`), own.incr('everybody')]);
        if (back !== `${n}`) throw new Error(`client ${i} got ${back} for ${n}`);
      }
    }));
    await tell('total', async () => Number(await clients[0].get('everybody')) / clients.length);
    await Promise.all(clients.map((own) => own.close()));
  },

  async client_side_cache() {
    if (spread || RESP !== 3) return;
    const caching = await connect({ clientSideCache: { ttl: 0, maxEntries: 100 } });
    const other = await connect();
    await other.set('cached', '1');
    await tell('first', caching.get('cached'));
    await tell('second', caching.get('cached'));
    await other.set('cached', '2');
    await tell('invalidated', async () => { while ((await caching.get('cached')) !== '2') await new Promise((resolve) => setImmediate(resolve)); return true; });
    await caching.close();
  },
};

async function main() {
  const only = process.env.SECTION;
  const c = await connect();
  if (!clustered) await c.flushAll();
  for (const [name, work] of Object.entries(sections)) {
    if (only && name !== only) continue;
    section = name;
    await work(c);
  }
  section = 'end';
  say('done', true);
  for (const client of opened) if (client.isOpen) client.destroy();
}

main().catch((error) => { console.log(`${section}: FAILED ${error.stack}`); process.exit(1); });
