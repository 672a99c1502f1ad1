// What programs do with ioredis, against two regions: main.js HOST:PORT HOST:PORT. A wrong result ends it with status 1.
'use strict';

const { isDeepStrictEqual } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');
const Redis = require('ioredis');

const [hereAddress, thereAddress] = process.argv.slice(2);
const opened = [];

function open(address, options = {}) {
  const [host, port] = address.split(':');
  const client = new Redis({ host, port: Number(port), ...options });
  client.on('error', fail);
  opened.push(client);
  return client;
}

// connect waits until the connection can be used. A SUBSCRIBE that ioredis is given while it connects may be sent before
// its own INFO, which is an error after it.
async function connect(address, options = {}) {
  const client = open(address, { ...options, lazyConnect: true });
  await client.connect();
  return client;
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

function expect(what, got, want) {
  if (!isDeepStrictEqual(got, want)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
  }
}

// soon waits for what must come from the other region.
async function soon(what, read, want) {
  const deadline = Date.now() + 20000;
  for (;;) {
    const got = await read();
    if (isDeepStrictEqual(got, want)) return;
    if (Date.now() > deadline) expect(what, got, want);
    await sleep(10);
  }
}

// waiting waits until so many clients of the region are blocked.
async function waiting(client, count) {
  await soon('blocked clients', async () => Number(/blocked_clients:(\d+)/.exec(await client.info('clients'))[1]), count);
}

async function refused(what, work, message) {
  const error = await work().then(() => null, (error) => error);
  expect(what, error && error.message, message);
}

// heard collects what a subscription is told.
function heard(client) {
  const messages = [];
  client.on('message', (channel, text) => messages.push([channel, text]));
  client.on('pmessage', (pattern, channel, text) => messages.push([pattern, channel, text]));
  return messages;
}

async function all(stream) {
  const items = [];
  for await (const page of stream) items.push(...page);
  return items;
}

async function values(a, b) {
  expect('set', await a.set('greeting', 'hello'), 'OK');
  expect('set nx', await a.set('greeting', 'no', 'NX'), null);
  expect('set get', await a.set('greeting', 'hello, world', 'GET'), 'hello');
  expect('set ex', await a.set('session', 's1', 'EX', 100), 'OK');
  expect('ttl', (await a.ttl('session')) > 97, true);
  expect('mset', await a.mset(new Map([['m1', '1'], ['m2', '2']])), 'OK');
  expect('mget', await a.mget('m1', 'm2', 'm3'), ['1', '2', null]);
  expect('incrby', await a.incrby('count', 5), 5);
  expect('hset', await a.hset('user', { name: 'Ada', visits: 1 }), 2);
  expect('hincrby', await a.hincrby('user', 'visits', 2), 3);
  expect('hgetall', await a.hgetall('user'), { name: 'Ada', visits: '3' });
  expect('sadd', await a.sadd('tags', 'red', 'green'), 2);
  expect('smismember', await a.smismember('tags', 'red', 'blue'), [1, 0]);
  expect('zadd', await a.zadd('scores', 1.5, 'ada', 2, 'bob'), 2);
  expect('zrange', await a.zrange('scores', 0, -1, 'WITHSCORES'), ['ada', '1.5', 'bob', '2']);
  expect('rpush', await a.rpush('queue', ['a', 'b', 'c']), 3);
  expect('lpop', await a.lpop('queue'), 'a');
  expect('lrange', await a.lrange('queue', 0, -1), ['b', 'c']);
  expect('pfadd', await a.pfadd('visitors', 'x', 'y'), 1);
  expect('geoadd', await a.geoadd('places', 13.361389, 38.115556, 'Palermo'), 1);
  expect('setbit', await a.setbit('bits', 7, 1), 0);
  expect('del', await a.del('m1', 'm2'), 2);
  await refused('wrong type', () => a.lpush('greeting', 'x'),
    'WRONGTYPE Operation against a key holding the wrong kind of value');
  const bytes = Buffer.from([...Array(256).keys()]);
  expect('set of bytes', await a.set(Buffer.from([0, 255, 13, 10]), bytes), 'OK');
  await soon('bytes in B', () => b.getBuffer(Buffer.from([0, 255, 13, 10])), bytes);
  await soon('hgetall in B', () => b.hgetall('user'), { name: 'Ada', visits: '3' });
  await b.incrby('count', 37);
  await soon('count in A', () => a.get('count'), '42');
  const prefixed = await connect(hereAddress, { keyPrefix: 'app:' });
  await prefixed.set('name', 'x');
  expect('key prefix', await a.get('app:name'), 'x');
}

async function pipelines(a) {
  const pipe = a.pipeline();
  for (let n = 0; n < 1000; n++) pipe.set(`pipe:${n}`, n);
  expect('pipeline', await pipe.exec(), Array(1000).fill([null, 'OK']));
  const [good, bad] = await a.pipeline().get('pipe:7').hget('pipe:7', 'x').exec();
  expect('pipeline with an error', [good, bad[0].message.split(' ')[0]], [[null, '7'], 'WRONGTYPE']);
  const automatic = await connect(hereAddress, { enableAutoPipelining: true });
  const replies = await Promise.all([...Array(100).keys()].map((n) => automatic.incrby('piped', n)));
  expect('automatic pipelining', replies.at(-1), 4950);
}

async function transactions(a) {
  expect('multi', await a.multi().set('t', 1).incr('t').get('t').exec(), [[null, 'OK'], [null, 2], [null, '2']]);
  await a.multi({ pipeline: false });
  expect('queued', await a.set('t', 3), 'QUEUED');
  expect('exec', await a.exec(), [[null, 'OK']]);
  await a.watch('t');
  const other = await connect(hereAddress);
  await other.set('t', 'changed');
  expect('a transaction on a changed key', await a.multi().set('t', 'lost').exec(), null);
  expect('the watched key', await a.get('t'), 'changed');
  await refused('a transaction with a wrong command', () => a.multi().set('t').exec(),
    'EXECABORT Transaction discarded because of previous errors.');

  // Counters of one region lose nothing when each increment is a read and a guarded write.
  async function incrementOften() {
    const client = await connect(hereAddress);
    for (let n = 0; n < 25;) {
      await client.watch('stock');
      const value = Number(await client.get('stock'));
      if (await client.multi().set('stock', value + 1).exec()) n++;
    }
  }
  await Promise.all([1, 2, 3, 4].map(incrementOften));
  expect('optimistic increments', await a.get('stock'), '100');
}

async function messages(a, b) {
  const here = await connect(hereAddress);
  const there = await connect(thereAddress);
  const told = [heard(here), heard(there)];
  for (const sub of [here, there]) {
    expect('subscribe', await sub.subscribe('news', 'orders'), 2);
    expect('psubscribe', await sub.psubscribe('ne*'), 3);
    await refused('get while subscribed', () => sub.get('x'),
      'Connection in subscriber mode, only subscriber commands may be used');
  }
  expect('publish', await a.publish('news', 'first'), 2);
  for (let n = 0; n < 10; n++) await a.publish('orders', n);
  const want = [['news', 'first'], ['ne*', 'news', 'first'], ...[...Array(10).keys()].map((n) => ['orders', `${n}`])];
  await soon('messages in A', () => told[0], want);
  await soon('messages in B', () => told[1], want);
  // Subscriptions come back on a new connection when theirs breaks.
  expect('client kill', await b.client('KILL', 'TYPE', 'pubsub'), 1);
  await soon('messages after the break', async () => {
    await a.publish('news', 'again'); // what is published before the new connection stands is lost
    const fresh = told[1].slice(want.length).map((message) => message.join(' '));
    return ['news again', 'ne* news again'].map((message) => fresh.includes(message));
  }, [true, true]);
  expect('unsubscribe', await there.unsubscribe('news', 'orders'), 1);
  expect('punsubscribe', await there.punsubscribe(), 0);
  expect('get after unsubscribing', await there.get('none'), null);
  const shard = await connect(hereAddress);
  const sharded = new Promise((resolve) => { shard.on('smessage', (channel, text) => resolve([channel, text])); });
  expect('ssubscribe', await shard.ssubscribe('shard'), 1);
  expect('spublish', await a.spublish('shard', 'x'), 1);
  expect('smessage', await sharded, ['shard', 'x']);
}

async function blocking(a, b) {
  const waiter = await connect(hereAddress);
  expect('blpop in time', await waiter.blpop('jobs', 0.1), null);
  const popped = waiter.blpop('jobs:none', 'jobs', 20);
  await waiting(a, 1);
  await b.rpush('jobs', 'j1');
  expect('blpop', await popped, ['jobs', 'j1']);
  const moved = waiter.blmove('jobs', 'doing', 'RIGHT', 'LEFT', 20);
  await waiting(a, 1);
  await b.rpush('jobs', 'j2');
  expect('blmove', await moved, 'j2');
  const lowest = waiter.bzpopmin('due', 20);
  await waiting(a, 1);
  await b.zadd('due', 7, 'd1');
  expect('bzpopmin', await lowest, ['due', 'd1', '7']);
  await soon('nothing is left in B', async () => [await b.llen('jobs'), await b.zcard('due')], [0, 0]);
}

async function scripts(a, b) {
  const lua = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
  for (const client of [a, b]) client.defineCommand('add', { numberOfKeys: 1, lua });
  await a.script('FLUSH');
  expect('script after NOSCRIPT', await a.add('scripted', 5), 5);
  expect('script', await a.add('scripted', 5), 10);
  await a.script('FLUSH');
  expect('scripts in a pipeline', await a.pipeline().add('scripted', 1).add('scripted', 1).exec(), [[null, 11], [null, 12]]);
  expect('script in a transaction', await a.multi().add('scripted', 1).exec(), [[null, 13]]);
  await soon('effect in B', () => b.get('scripted'), '13');
  expect('the same script in B', await b.add('scripted', 7), 20);
  await soon('effect in A', () => a.get('scripted'), '20');
  const library = "#!lua name=ours\nredis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)";
  expect('function load', await a.function('LOAD', 'REPLACE', library), 'ours');
  expect('fcall', await a.fcall('put', 1, 'by:function', 'x'), 'OK');
  await soon('its effect in B', () => b.get('by:function'), 'x');
  const twice = { numberOfKeys: 0, lua: 'return ARGV[1] * 2', readOnly: true };
  const declared = await connect(hereAddress, { scripts: { twice } });
  expect('script of the options', await declared.twice(21), 42);
}

async function streams(a, b) {
  expect('xgroup', await a.xgroup('CREATE', 'events', 'workers', '0', 'MKSTREAM'), 'OK');
  const ids = [];
  for (let n = 0; n < 4; n++) ids.push(await a.xadd('events', '*', 'n', n));
  const read = (consumer, count) => a.xreadgroup('GROUP', 'workers', consumer, 'COUNT', count, 'STREAMS', 'events', '>');
  expect('xreadgroup', await read('w1', 2), [['events', [[ids[0], ['n', '0']], [ids[1], ['n', '1']]]]]);
  expect('xreadgroup of another', (await read('w2', 9))[0][1].map(([id]) => id), ids.slice(2));
  expect('xack', await a.xack('events', 'workers', ids[0], ids[1]), 2);
  expect('xpending', await a.xpending('events', 'workers'), [2, ids[2], ids[3], [['w2', '2']]]);
  expect('xautoclaim', (await a.xautoclaim('events', 'workers', 'w1', 0, '0'))[1].map(([id]) => id), ids.slice(2));
  expect('xack of the rest', await a.xack('events', 'workers', ids[2], ids[3]), 2);
  await soon('entries in B', () => b.xlen('events'), 4);
  // A consumer that waits here is woken by an entry that is added there.
  const waiter = await connect(hereAddress);
  const fresh = waiter.xreadgroup('GROUP', 'workers', 'w1', 'BLOCK', 20000, 'STREAMS', 'events', '>');
  const another = await connect(hereAddress);
  const plain = another.xread('BLOCK', 20000, 'STREAMS', 'events', '$');
  await waiting(a, 2);
  const id = await b.xadd('events', '*', 'from', 'B');
  expect('xreadgroup woken', await fresh, [['events', [[id, ['from', 'B']]]]]);
  expect('xread woken', await plain, [['events', [[id, ['from', 'B']]]]]);
  expect('xack', await a.xack('events', 'workers', id), 1);
}

async function scans(a) {
  const numbers = [...Array(1000).keys()];
  await a.hset('big:hash', Object.fromEntries(numbers.map((n) => [`f${n}`, n])));
  await a.sadd('big:set', numbers);
  await a.zadd('big:zset', ...numbers.flatMap((n) => [n, `m${n}`]));
  const keys = await all(a.scanStream({ match: 'pipe:*', count: 100 }));
  expect('scanStream', [...new Set(keys)].sort(), numbers.map((n) => `pipe:${n}`).sort());
  expect('scanStream of a type', await all(a.scanStream({ match: 'big:*', type: 'zset', count: 1000 })), ['big:zset']);
  const size = async (stream) => new Set(await all(stream)).size;
  expect('sscanStream', await size(a.sscanStream('big:set')), 1000);
  expect('hscanStream', await size(a.hscanStream('big:hash')), 2000);
  expect('zscanStream', await size(a.zscanStream('big:zset')), 2000);
}

async function locks(a) {
  a.defineCommand('release', {
    numberOfKeys: 1,
    lua: "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
  });
  expect('lock', await a.set('lock', 'owner 1', 'PX', 20000, 'NX'), 'OK');
  expect('a second owner', await a.set('lock', 'owner 2', 'PX', 20000, 'NX'), null);
  expect('release of another', await a.release('lock', 'owner 2'), 0);
  expect('release', await a.release('lock', 'owner 1'), 1);
  expect('the next owner', await a.set('lock', 'owner 2', 'PX', 50, 'NX'), 'OK');
  await sleep(200);
  expect('after its time', await a.set('lock', 'owner 3', 'PX', 600000, 'NX'), 'OK');
}

async function connections(a) {
  const named = await connect(hereAddress, { connectionName: 'billing', db: 3 });
  expect('name', await named.client('GETNAME'), 'billing');
  expect('client list', (await named.client('LIST')).includes(' name=billing '), true);
  await named.set('in', 'db 3');
  expect('databases', [await named.dbsize(), await a.exists('in')], [1, 0]);
  // A connection that breaks is made anew, with its name and its database.
  const before = await named.client('ID');
  const again = new Promise((resolve) => { named.once('ready', resolve); });
  expect('client kill', await a.client('KILL', 'ID', before), 1);
  await again;
  expect('after the break', [await named.client('GETNAME'), await named.get('in')], ['billing', 'db 3']);
  expect('another connection', (await named.client('ID')) !== before, true);
  const monitor = await open(hereAddress).monitor();
  const seen = new Promise((resolve) => { monitor.once('monitor', (time, args) => resolve(args)); });
  await a.echo('seen');
  expect('monitor', await seen, ['echo', 'seen']);
  monitor.disconnect();
  expect('info', (await a.info('server')).includes('redis_mode:standalone'), true);
  expect('ping', await a.ping(), 'PONG');
}

async function main() {
  const a = open(hereAddress); // its first commands wait for the connection
  const b = await connect(thereAddress);
  await values(a, b);
  await pipelines(a);
  await transactions(a);
  await messages(a, b);
  await blocking(a, b);
  await scripts(a, b);
  await streams(a, b);
  await scans(a);
  await locks(a);
  await connections(a);
  await Promise.all(opened.map((client) => client.quit()));
  console.log('ioredis', require('ioredis/package.json').version);
}

main().catch(fail);
