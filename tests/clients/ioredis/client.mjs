// What people do with ioredis, as a transcript: node client.mjs HOST PORT single|cluster|plain-on-cluster [PROTOCOL]
// The transcript must be the same whether a server answers or a proxy before it. Nothing in it may depend on chance,
// ports or time.

import { createHash } from 'node:crypto';
import { Cluster, Redis } from 'ioredis';

const [host, portText, mode, protocol = '3'] = process.argv.slice(2);
const port = Number(portText);
const clustered = mode === 'cluster';
const opened = [];

function connect(options = {}) {
  const given = { protocol: Number(protocol), maxRetriesPerRequest: 0, ...options };
  const client = clustered ? new Cluster([{ host, port }], { redisOptions: given }) : new Redis({ host, port, ...given });
  client.on('error', () => {});
  opened.push(client);
  return client;
}

// ---- printing

const digest = (text) => createHash('sha1').update(text).digest('hex');

function plain(value) {
  if (value instanceof Error) return { error: value.message };
  if (Buffer.isBuffer(value)) return value.length > 300 ? { size: value.length, sha1: digest(value) } : { hex: value.toString('hex') };
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, each]) => [String(key), plain(each)]));
  if (value instanceof Set) return [...value].map(plain).sort();
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') return Object.fromEntries(Object.keys(value).sort().map((key) => [key, plain(value[key])]));
  return value === undefined ? 'undefined' : value;
}

let section = '';
const say = (name, value) => console.log(`${section}.${name}: ${JSON.stringify(plain(value))}`);

async function tell(name, work) {
  let value;
  try {
    value = await (typeof work === 'function' ? work() : work);
  } catch (error) {
    value = error;
  }
  say(name, value);
}

// ---- the work

const sections = {
  async connecting(c) {
    await tell('ping', c.ping());
    if (clustered) return;
    const named = connect({ connectionName: 'somebody' });
    await tell('name', named.client('GETNAME'));
    await tell('info', async () => (await named.client('INFO')).trim().split(' ').filter((each) => /^(name|db|user|resp|lib-)/.test(each)));
    await tell('echo', c.echo('žluťoučký kůň'));
    await tell('quit', named.quit());
  },

  async everyday(c) {
    await tell('set', c.set('s', 'v'));
    await tell('get', c.get('s'));
    await tell('missing', c.get('missing'));
    await tell('nx', c.set('s', 'w', 'NX'));
    await tell('ex', c.set('t', '1', 'EX', 100));
    await tell('incrby', c.incrby('n', 42));
    await tell('incrbyfloat', c.incrbyfloat('f', 0.5));
    const tag = clustered ? '{m}' : 'm';
    await tell('mset', c.mset({ [`${tag}1`]: 'a', [`${tag}2`]: 'b', [`${tag}3`]: 'c' }));
    await tell('mget', c.mget(`${tag}3`, `${tag}none`, `${tag}1`));
    await tell('exists', c.exists(`${tag}1`, `${tag}none`));
    await tell('del', c.del(`${tag}1`, `${tag}2`, `${tag}3`));
    await tell('hset', c.hset('h', { a: 1, b: 2, 'c d': 'three' }));
    await tell('hgetall', c.hgetall('h'));
    await tell('hmget', c.hmget('h', 'a', 'none'));
    await tell('rpush', c.rpush('l', 'a', 'b', 'c'));
    await tell('lrange', c.lrange('l', 0, -1));
    await tell('lmpop', c.lmpop(1, 'l', 'LEFT', 'COUNT', 2));
    await tell('sadd', c.sadd('set', '1', '2', '3'));
    await tell('smembers', async () => [...(await c.smembers('set'))].sort());
    await tell('zadd', c.zadd('z', 1, 'a', 2.5, 'b'));
    await tell('zrange', c.zrange('z', 0, -1, 'WITHSCORES'));
    await tell('zscore', c.zscore('z', 'b'));
    await tell('zpopmin', c.zpopmin('z'));
    await tell('xadd', c.xadd('x', '1-1', 'n', '1'));
    await tell('xadd-old', c.xadd('x', '1-1', 'n', '1'));
    await tell('xgroup', c.xgroup('CREATE', 'x', 'g', '0'));
    await tell('xreadgroup', c.xreadgroup('GROUP', 'g', 'alice', 'COUNT', 5, 'STREAMS', 'x', '>'));
    await tell('xpending', c.xpending('x', 'g'));
    await tell('xread-none', c.xread('STREAMS', 'x', '9-1'));
    await tell('geoadd', c.geoadd('geo', 13.361389, 38.115556, 'Palermo'));
    await tell('geopos', c.geopos('geo', 'Palermo', 'none'));
    await tell('config', c.call('OBJECT', 'ENCODING', 's'));
  },

  async binary(c) {
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await tell('set', c.set(all, all));
    await tell('get', c.getBuffer(all));
    for (const size of [16383, 65536, 1 << 20, 9 << 20]) {
      await tell(`set-${size}`, c.set('large', Buffer.alloc(size, createHash('sha512').update(String(size)).digest())));
      await tell(`get-${size}`, c.getBuffer('large'));
    }
    await c.del('large');
  },

  async scanning(c) {
    await Promise.all(Array.from({ length: 300 }, (_, i) => c.set(`scan:${i}`, `${i}`)));
    await c.hset('scanh', Object.fromEntries(Array.from({ length: 700 }, (_, i) => [`f${i}`, `${i}`])));
    const gather = (stream) => new Promise((resolve, reject) => {
      const all = new Set();
      stream.on('data', (some) => some.forEach((each) => all.add(each)));
      stream.on('end', () => resolve({ count: all.size, sha1: digest([...all].sort().join()) }));
      stream.on('error', reject);
    });
    await tell('hscan', gather(c.hscanStream('scanh', { count: 50 })));
    if (!clustered) await tell('scan', gather(c.scanStream({ match: 'scan:*', count: 20 })));
  },

  async pipelines(c) {
    await tell('many', async () => digest(JSON.stringify(await Promise.all(
      Array.from({ length: 1000 }, (_, i) => (i % 2 ? c.get(`p${i - 1}`) : c.set(`p${i}`, `v${i}`)))))));
    const pipe = c.pipeline();
    for (let i = 0; i < 500; i++) pipe.incr('{p}n').lpush('{p}l', String(i));
    await tell('explicit', async () => digest(JSON.stringify(await pipe.exec())));
    await tell('errors', c.pipeline().set('{p}e', 'x').incr('{p}e').get('{p}e').lpush('{p}e', 'x').exec());
    const auto = connect({ enableAutoPipelining: true });
    await tell('automatic', async () => digest(JSON.stringify(await Promise.all(Array.from({ length: 200 }, () => auto.incr('{p}auto'))))));
  },

  async transactions(c) {
    await tell('exec', c.multi().set('{t}a', '1').incr('{t}a').hset('{t}h', 'f', 'v').hgetall('{t}h').lpush('{t}a', 'wrong').exec());
    if (clustered) return;
    await tell('aborted', c.multi().set('{t}a', '7').call('GET').exec());
    await tell('unchanged', c.get('{t}a'));
    await tell('one-by-one', async () => {
      const own = connect();
      const queued = [await own.multi({ pipeline: false }), await own.set('{t}b', '1'), await own.get('{t}b')];
      return [...queued, await own.exec()];
    });
    await tell('watch', async () => {
      const own = connect();
      await own.watch('{t}a');
      await c.set('{t}a', 'meanwhile');
      const lost = await own.multi().set('{t}a', 'mine').exec();
      await own.watch('{t}a');
      return { lost, done: await own.multi().get('{t}a').exec() };
    });
  },

  async scripts(c) {
    await tell('eval', c.eval('return {KEYS[1], ARGV[1], 3, false, {ok="fine"}}', 1, '{e}k', 'x'));
    await tell('noscript', c.evalsha('0'.repeat(40), 1, '{e}k'));
    c.defineCommand('plus', { numberOfKeys: 1, lua: 'return redis.call("INCRBY", KEYS[1], ARGV[1])' });
    await tell('defined', c.plus('{e}n', 5));               // EVALSHA, NOSCRIPT, EVAL
    await tell('defined-again', c.plus('{e}n', 5));
    await tell('in-a-pipeline', c.pipeline().plus('{e}n', 1).plus('{e}n', 1).exec());
    await tell('raises', c.eval('error("thrown")', 1, '{e}k'));
  },

  async subscriptions(c) {
    const sub = connect();
    const heard = [];
    sub.on('message', (channel, message) => heard.push(`message ${channel} ${message}`));
    sub.on('pmessage', (pattern, channel, message) => heard.push(`pattern ${pattern} ${channel} ${message}`));
    await tell('subscribe', sub.subscribe('news', 'weather'));
    await tell('psubscribe', sub.psubscribe('w*'));
    const until = async (count) => { while (heard.length < count) await new Promise((resolve) => setImmediate(resolve)); };
    for (let i = 0; i < 50; i++) await c.publish('news', `n${i}`);
    await until(50);
    await c.publish('weather', 'rain');
    await until(52);
    if (clustered) heard.sort();                    // published over several nodes
    say('heard', [...heard.slice(0, 50), ...heard.slice(50).sort()]);
    await tell('unsubscribe', sub.unsubscribe('news', 'weather'));
    await tell('punsubscribe', sub.punsubscribe('w*'));
    await tell('afterwards', sub.set('sub', 'still works'));
  },

  async blocking(c) {
    const own = connect();
    await tell('timeout', own.blpop('{b}none', 0.05));
    const waiting = own.blpop('{b}later', 10);
    await c.rpush('{b}later', 'came');
    await tell('comes', waiting);
    await c.zadd('{b}z', 2, 'z');
    await tell('bzpopmin', own.bzpopmin('{b}z', 1));
  },

  async errors(c) {
    await c.set('str', 'x');
    await tell('wrong-type', c.lpush('str', 'x'));
    await tell('unknown', c.call('NOSUCH', 'str'));
    await tell('syntax', c.call('SET', 'str', 'x', 'NONSENSE'));
    await tell('still-works', c.get('str'));
  },

  async databases_and_users(c) {
    if (mode !== 'single') return;
    const other = connect({ db: 5 });
    await tell('set', other.set('only', 'in 5'));
    await tell('not-in-0', c.get('only'));
    await c.acl('SETUSER', 'carol', 'reset', 'on', '>secret', '~c:*', '+@read', '+@connection', '+info', '+client');
    const carol = connect({ username: 'carol', password: 'secret' });
    await tell('may', carol.get('c:1'));
    await tell('denied', carol.set('c:1', 'x'));
    await c.acl('DELUSER', 'carol');
  },

  async many_clients() {
    const clients = Array.from({ length: clustered ? 3 : 20 }, () => connect());
    await Promise.all(clients.map(async (own, i) => {
      for (let n = 0; n < 50; n++) {
        await own.set(`own:${i}`, `${n}`);
        const [back] = await Promise.all([own.get(`own:${i}`), own.incr('everybody')]);
        if (back !== `${n}`) throw new Error(`client ${i} got ${back} for ${n}`);
      }
    }));
    await tell('total', async () => Number(await clients[0].get('everybody')) / clients.length);
  },
};

async function main() {
  const c = connect();
  if (!clustered) await c.flushall();
  for (const [name, work] of Object.entries(sections)) {
    section = name;
    await work(c);
  }
  section = 'end';
  say('done', true);
  for (const client of opened) client.disconnect();
}

main().catch((error) => { console.log(`${section}: FAILED ${error.stack}`); process.exit(1); });
