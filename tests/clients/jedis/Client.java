import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import redis.clients.jedis.*;
import redis.clients.jedis.args.*;
import redis.clients.jedis.commands.ProtocolCommand;
import redis.clients.jedis.exceptions.JedisException;
import redis.clients.jedis.params.*;
import redis.clients.jedis.resps.*;

/**
 * What people do with Jedis, as a transcript: Client HOST PORT single|cluster|plain-on-cluster [PROTOCOL]
 *
 * The transcript must be the same whether a server answers or a proxy before it. Nothing in it may depend on chance,
 * ports or time.
 */
public class Client {
    static HostAndPort address;
    static String mode, section = "start";
    static RedisProtocol protocol = RedisProtocol.RESP3;
    static boolean clustered;
    static final List<UnifiedJedis> opened = new ArrayList<>();

    interface Work { Object run() throws Exception; }
    interface Section { void run(UnifiedJedis c) throws Exception; }

    // ---- clients

    static DefaultJedisClientConfig.Builder config() {
        return DefaultJedisClientConfig.builder().protocol(protocol).timeoutMillis(20_000);
    }

    static UnifiedJedis connect(DefaultJedisClientConfig config) {
        UnifiedJedis client = clustered
            ? RedisClusterClient.builder().nodes(Set.of(address)).clientConfig(config).build()
            : RedisClient.builder().hostAndPort(address).clientConfig(config).build();
        opened.add(client);
        return client;
    }

    static UnifiedJedis connect() { return connect(config().build()); }

    /** A key that shares its slot with others of the same tag where the client itself must care for that. */
    static String tagged(String tag, String key) { return clustered ? "{" + tag + "}" + key : tag + key; }

    // ---- printing

    static String digest(byte[] raw) throws Exception {
        return raw.length + " bytes, sha1 " + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(raw));
    }

    static String digest(Collection<String> values) throws Exception {
        return values.size() + ": " + digest(String.join(",", new TreeSet<>(values)).getBytes(StandardCharsets.UTF_8));
    }

    static String shown(Object value) throws Exception {
        if (value instanceof byte[] raw) return raw.length > 300 ? digest(raw) : HexFormat.of().formatHex(raw);
        if (value instanceof Throwable error) return error.getClass().getSimpleName() + " " + error.getMessage();
        if (value instanceof Set<?> set) {
            return set.stream().map(String::valueOf).sorted().toList().toString();
        }
        if (value instanceof Collection<?> all) {
            List<String> texts = new ArrayList<>();
            for (Object each : all) texts.add(shown(each));
            return texts.toString();
        }
        if (value instanceof Map<?, ?> map) {
            TreeMap<String, String> texts = new TreeMap<>();
            for (Map.Entry<?, ?> each : map.entrySet()) texts.put(shown(each.getKey()), shown(each.getValue()));
            return texts.toString();
        }
        return String.valueOf(value);
    }

    static void say(String name, Object value) throws Exception {
        System.out.println(section + "." + name + ": " + shown(value));
    }

    static void tell(String name, Work work) throws Exception {
        Object value;
        try {
            value = work.run();
        } catch (JedisException error) {
            value = error;
        }
        say(name, value);
    }

    static ProtocolCommand word(String name) { return () -> name.getBytes(StandardCharsets.US_ASCII); }

    // ---- the work

    static void connecting(UnifiedJedis c) throws Exception {
        tell("ping", c::ping);
        if (clustered) return;
        UnifiedJedis named = connect(config().clientName("somebody").build());
        tell("name", () -> new String((byte[]) named.sendCommand(word("CLIENT"), "GETNAME")));
        tell("echo", () -> c.sendCommand(word("ECHO"), "žluťoučký kůň"));
        tell("set-info", () -> {
            String info = new String((byte[]) named.sendCommand(word("CLIENT"), "INFO"));
            return Arrays.stream(info.trim().split(" ")).filter(each -> each.matches("(name|db|user|resp|lib-.*)=.*")).toList();
        });
        // what Jedis negotiates by itself when nobody says which protocol
        UnifiedJedis fresh = RedisClient.builder().hostAndPort(address).build();
        opened.add(fresh);
        tell("negotiated", () -> fresh.set("negotiated", "yes"));
    }

    static void strings(UnifiedJedis c) throws Exception {
        tell("set", () -> c.set("s", "v"));
        tell("get", () -> c.get("s"));
        tell("missing", () -> c.get("missing"));
        tell("nx", () -> c.set("s", "w", SetParams.setParams().nx()));
        tell("setget", () -> c.setGet("s", "w", SetParams.setParams().xx()));
        tell("ex", () -> c.setex("t", 100, "1"));
        tell("ttl", () -> c.ttl("t") > 90);
        tell("persist", () -> c.persist("t"));
        tell("incr", () -> c.incrBy("n", 42));
        tell("incrbyfloat", () -> c.incrByFloat("f", 0.5));
        tell("append", () -> c.append("s", "-more"));
        tell("getrange", () -> c.getrange("s", 1, 3));
        tell("getdel", () -> c.getDel("s"));
        tell("mset", () -> c.mset(tagged("m", "1"), "a", tagged("m", "2"), "b", tagged("m", "3"), "c"));
        tell("mget", () -> c.mget(tagged("m", "3"), tagged("m", "none"), tagged("m", "1")));
        tell("exists", () -> c.exists(tagged("m", "1"), tagged("m", "2"), tagged("m", "none")));
        tell("touch", () -> c.touch(tagged("m", "1"), tagged("m", "none")));
        tell("del", () -> c.del(tagged("m", "1"), tagged("m", "2"), tagged("m", "none")));
        tell("unlink", () -> c.unlink(tagged("m", "3")));
        tell("setbit", () -> c.setbit("bits", 7, true));
        tell("bitfield", () -> c.bitfield("bits", "INCRBY", "u8", "0", "5"));
        tell("copy", () -> c.copy("{n}", "{n}2", true));
        tell("type", () -> c.type("n"));
        tell("restore", () -> c.restore("restored", 0, c.dump("n")));
        tell("restored", () -> c.get("restored"));
    }

    static void binary(UnifiedJedis c) throws Exception {
        byte[] all = new byte[256];
        for (int i = 0; i < 256; i++) all[i] = (byte) i;
        tell("set", () -> c.set(all, all));
        tell("get", () -> c.get(all));
        tell("empty", () -> c.set("empty", "") + c.get("empty"));
        for (int size : new int[] {16383, 65536, 1 << 20, 9 << 20}) {
            byte[] value = new byte[size];
            new Random(size).nextBytes(value);
            tell("set-" + size, () -> c.set("large".getBytes(), value));
            tell("get-" + size, () -> Arrays.equals(c.get("large".getBytes()), value));
        }
        c.del("large");
        tell("hash", () -> c.hset("bh".getBytes(), Map.of(all, all)));
        tell("hash-back", () -> c.hget("bh".getBytes(), all));
    }

    static void collections(UnifiedJedis c) throws Exception {
        tell("hset", () -> c.hset("h", new TreeMap<>(Map.of("a", "1", "b", "2", "c d", "three"))));
        tell("hgetall", () -> c.hgetAll("h"));
        tell("hgetall-missing", () -> c.hgetAll("missing"));
        tell("hmget", () -> c.hmget("h", "a", "none", "c d"));
        tell("hincrbyfloat", () -> c.hincrByFloat("h", "b", 1.25));
        tell("hdel", () -> c.hdel("h", "a", "none"));
        tell("hexpire", () -> c.hexpire("h", 100, "b"));        // newer than the server: its error
        tell("rpush", () -> c.rpush("l", "a", "b", "c", "d"));
        tell("lrange", () -> c.lrange("l", 0, -1));
        tell("lpos", () -> c.lpos("l", "c"));
        tell("lpop", () -> c.lpop("l", 2));
        tell("lmove", () -> c.lmove("l", "l", ListDirection.LEFT, ListDirection.RIGHT));
        tell("lmpop", () -> c.lmpop(ListDirection.LEFT, 10, "l"));
        tell("sadd", () -> c.sadd("{s}a", "1", "2", "3") + c.sadd("{s}b", "2", "3", "4"));
        tell("smembers", () -> c.smembers("{s}a"));
        tell("smismember", () -> c.smismember("{s}a", "1", "9"));
        tell("sinter", () -> c.sinter("{s}a", "{s}b"));
        tell("sunionstore", () -> c.sunionstore("{s}c", "{s}a", "{s}b"));
        tell("zadd", () -> c.zadd("{z}", Map.of("a", 1.0, "b", 2.5, "c", Double.POSITIVE_INFINITY)));
        tell("zrange", () -> c.zrangeWithScores("{z}", 0, -1));
        tell("zrange-score", () -> c.zrange("{z}", ZRangeParams.zrangeByScoreParams(1.5, 100)));
        tell("zscore", () -> c.zscore("{z}", "b"));
        tell("zmscore", () -> c.zmscore("{z}", "a", "none"));
        tell("zincrby", () -> c.zincrby("{z}", 0.25, "a"));
        tell("zrank", () -> c.zrank("{z}", "b"));
        tell("zpopmin", () -> c.zpopmin("{z}", 2));
        tell("pfadd", () -> c.pfadd("hll", "a", "b", "c"));
        tell("pfcount", () -> c.pfcount("hll"));
        tell("geoadd", () -> c.geoadd("geo", 13.361389, 38.115556, "Palermo") + c.geoadd("geo", 15.087269, 37.502669, "Catania"));
        tell("geodist", () -> c.geodist("geo", "Palermo", "Catania", GeoUnit.KM));
        tell("geopos", () -> c.geopos("geo", "Palermo", "none"));
    }

    static void streams(UnifiedJedis c) throws Exception {
        for (int i = 1; i <= 5; i++) c.xadd("x", new StreamEntryID(i, 1), Map.of("n", String.valueOf(i)));
        tell("xadd-old", () -> c.xadd("x", new StreamEntryID(1, 1), Map.of("a", "b")));
        tell("xlen", () -> c.xlen("x"));
        tell("xrange", () -> c.xrange("x", "-", "+", 2));
        tell("xread", () -> c.xread(XReadParams.xReadParams().count(1), Map.of("x", new StreamEntryID(3, 1))));
        tell("xread-none", () -> c.xread(XReadParams.xReadParams(), Map.of("x", new StreamEntryID(9, 1))));
        tell("group", () -> c.xgroupCreate("x", "g", new StreamEntryID(0, 0), false));
        tell("group-twice", () -> c.xgroupCreate("x", "g", new StreamEntryID(0, 0), false));
        tell("xreadgroup", () -> c.xreadGroup("g", "alice", XReadGroupParams.xReadGroupParams().count(2), Map.of("x", StreamEntryID.XREADGROUP_UNDELIVERED_ENTRY)));
        tell("xack", () -> c.xack("x", "g", new StreamEntryID(1, 1)));
        tell("xpending", () -> { var pending = c.xpending("x", "g"); return List.of(pending.getTotal(), pending.getMinId(), pending.getConsumerMessageCount()); });
        tell("xautoclaim", () -> c.xautoclaimJustId("x", "g", "bob", 0, new StreamEntryID(0, 0), new XAutoClaimParams()));
        tell("xtrim", () -> c.xtrim("x", 2, false));
    }

    static void scanning(UnifiedJedis c) throws Exception {
        for (int i = 0; i < 700; i++) {
            c.hset("scanh", "f" + i, "" + i);
            c.sadd("scans", "m" + i);
            c.zadd("scanz", i, "m" + i);
            if (i < 300) c.set("scan:" + i, "" + i);
        }
        ScanParams some = new ScanParams().count(50);
        Set<String> fields = new HashSet<>(), members = new HashSet<>(), scores = new HashSet<>(), keys = new HashSet<>();
        String cursor = "0";
        do {
            var page = c.hscan("scanh", cursor, some);
            page.getResult().forEach(each -> fields.add(each.getKey() + "=" + each.getValue()));
            cursor = page.getCursor();
        } while (!cursor.equals("0"));
        do {
            var page = c.sscan("scans", cursor, some);
            members.addAll(page.getResult());
            cursor = page.getCursor();
        } while (!cursor.equals("0"));
        do {
            var page = c.zscan("scanz", cursor, some);
            page.getResult().forEach(each -> scores.add(each.getElement() + "=" + each.getScore()));
            cursor = page.getCursor();
        } while (!cursor.equals("0"));
        say("hscan", digest(fields));
        say("sscan", digest(members));
        say("zscan", digest(scores));
        ScanIteration iteration = c.scanIteration(20, "scan:*");       // of every node, in a cluster
        while (!iteration.isIterationCompleted()) keys.addAll(iteration.nextBatchList());
        say("scan", digest(keys));
        if (!clustered) say("keys", digest(c.keys("scan:*")));
    }

    static void pipelines(UnifiedJedis c) throws Exception {
        try (AbstractPipeline pipe = c.pipelined()) {
            List<Response<?>> replies = new ArrayList<>();
            for (int i = 0; i < 1000; i++) {
                replies.add(pipe.set("p" + i, "v" + i));
                replies.add(pipe.get("p" + i));
                replies.add(pipe.rpush("pl" + i % 10, "" + i));
            }
            pipe.sync();
            say("thousands", digest(replies.stream().map(each -> String.valueOf(each.get())).collect(Collectors.joining(",")).getBytes()));
        }
        try (AbstractPipeline pipe = c.pipelined()) {
            List<Response<?>> replies = List.of(pipe.set("pe", "x"), pipe.incr("pe"), pipe.get("pe"), pipe.lpush("pe", "x"), pipe.get("none"));
            pipe.sync();
            for (int i = 0; i < replies.size(); i++) tell("reply-" + i, replies.get(i)::get);
        }
    }

    static void transactions(UnifiedJedis c) throws Exception {
        if (clustered) return;                  // there are none for Jedis
        tell("exec", () -> {
            try (AbstractTransaction t = c.multi()) {
                t.set("{t}a", "1"); t.incr("{t}a"); t.hset("{t}h", "f", "v"); t.hgetAll("{t}h"); t.lpush("{t}a", "wrong");
                return t.exec();
            }
        });
        tell("aborted", () -> {
            try (AbstractTransaction t = c.multi()) {
                t.set("{t}a", "7"); t.sendCommand(word("NOSUCH"), "{t}a");
                return t.exec();
            }
        });
        tell("unchanged", () -> c.get("{t}a"));
        tell("watch-lost", () -> {
            try (AbstractTransaction t = c.transaction(false)) {
                t.watch("{t}a");
                c.set("{t}a", "meanwhile");
                t.multi();
                t.set("{t}a", "mine");
                return t.exec();
            }
        });
        tell("unwatched", () -> {
            try (AbstractTransaction t = c.transaction(false)) {
                t.watch("{t}a");
                c.set("{t}a", "again");
                t.unwatch();
                t.multi();
                t.get("{t}a");
                return t.exec();
            }
        });
        tell("discarded", () -> { try (AbstractTransaction t = c.multi()) { t.set("{t}a", "no"); return t.discard() + c.get("{t}a"); } });
    }

    static void scripts(UnifiedJedis c) throws Exception {
        tell("eval", () -> c.eval("return {KEYS[1], ARGV[1], 3, false, {ok='fine'}}", List.of("{e}k"), List.of("x")));
        String text = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
        String sha = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(text.getBytes()));
        tell("noscript", () -> c.evalsha(sha, List.of("{e}n"), List.of("5")));
        tell("then-eval", () -> c.eval(text, List.of("{e}n"), List.of("5")));
        tell("evalsha", () -> c.evalsha(sha, List.of("{e}n"), List.of("5")));
        tell("error", () -> c.eval("return redis.error_reply('MY own')", List.of("{e}k"), List.of()));
        tell("raises", () -> c.eval("error('thrown')", List.of("{e}k"), List.of()));
        tell("read-only", () -> c.evalReadonly("return redis.call('GET', KEYS[1])", List.of("{e}n"), List.of()));
        tell("load", () -> c.scriptLoad("return 7", "{e}k"));
        tell("exists", () -> c.scriptExists("{e}k", sha, "0".repeat(40)));
        if (clustered) return;
        tell("function", () -> c.functionLoadReplace("#!lua name=lib\nredis.register_function('f', function(k, a) return {k[1], a[1]} end)"));
        tell("fcall", () -> c.fcall("f", List.of("{e}k"), List.of("z")));
    }

    static void subscriptions(UnifiedJedis c) throws Exception {
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        JedisPubSub listener = new JedisPubSub() {
            @Override public void onMessage(String channel, String text) { heard.add("message " + channel + " " + text); }
            @Override public void onPMessage(String pattern, String channel, String text) { heard.add("pattern " + pattern + " " + text); }
            @Override public void onSubscribe(String channel, int count) { heard.add("subscribed " + channel + " " + count); }
            @Override public void onPSubscribe(String pattern, int count) { heard.add("psubscribed " + pattern + " " + count); }
            @Override public void onUnsubscribe(String channel, int count) { heard.add("unsubscribed " + channel + " " + count); }
            @Override public void onPong(String text) { heard.add("pong " + text); }
        };
        Thread thread = new Thread(() -> c.subscribe(listener, "news", "weather"));
        thread.start();
        for (int i = 0; i < 2; i++) say("heard", heard.poll(5, TimeUnit.SECONDS));
        listener.psubscribe("w*");
        say("heard", heard.poll(5, TimeUnit.SECONDS));
        if (protocol == RedisProtocol.RESP2) {      // Jedis does not know its answer in RESP3
            listener.ping("hello");
            say("heard", heard.poll(5, TimeUnit.SECONDS));
        }
        for (int i = 0; i < 50; i++) c.publish("news", "n" + i);
        List<String> news = new ArrayList<>();
        for (int i = 0; i < 50; i++) news.add(heard.poll(5, TimeUnit.SECONDS));
        if (clustered) Collections.sort(news);          // published over several nodes
        say("news", news);
        c.publish("weather", "rain");
        say("weather", new TreeSet<>(Arrays.asList(heard.poll(5, TimeUnit.SECONDS), heard.poll(5, TimeUnit.SECONDS))));
        listener.unsubscribe("news");
        say("heard", heard.poll(5, TimeUnit.SECONDS));
        listener.unsubscribe();
        listener.punsubscribe();
        thread.join(5000);
        say("ended", !thread.isAlive());
    }

    static void blocking(UnifiedJedis c) throws Exception {
        tell("timeout", () -> c.blpop(0.05, "{b}none"));
        c.rpush("{b}l", "x");
        tell("there", () -> c.blpop(1.0, "{b}l", "{b}m"));
        ExecutorService other = Executors.newSingleThreadExecutor();
        Future<?> came = other.submit(() -> c.blpop(10.0, "{b}later"));
        c.rpush("{b}later", "came");
        say("comes", came.get());
        c.rpush("{b}src", "m");
        tell("blmove", () -> c.blmove("{b}src", "{b}dst", ListDirection.LEFT, ListDirection.RIGHT, 1));
        c.zadd("{b}z", 2, "z");
        tell("bzpopmin", () -> c.bzpopmin(1, "{b}z"));
        c.xadd("{b}x", new StreamEntryID(1, 1), Map.of("a", "1"));
        Future<?> read = other.submit(() -> c.xread(XReadParams.xReadParams().block(10_000), Map.of("{b}x", new StreamEntryID(1, 1))));
        c.xadd("{b}x", new StreamEntryID(2, 1), Map.of("a", "2"));
        say("xread", read.get());
        other.shutdown();
    }

    static void failing(UnifiedJedis c) throws Exception {
        c.set("str", "x");
        tell("wrong-type", () -> c.lpush("str", "x"));
        tell("not-a-number", () -> c.incr("str"));
        tell("unknown", () -> c.sendCommand("str", word("NOSUCH"), "str"));
        tell("arity", () -> c.sendCommand("str", word("GET")));
        tell("syntax", () -> c.sendCommand("str", word("SET"), "str", "x", "NONSENSE"));
        tell("out-of-range", () -> c.lset("none", 5, "x"));
        tell("still-works", () -> c.get("str"));
    }

    static void databases_and_users(UnifiedJedis c) throws Exception {
        if (!mode.equals("single")) return;
        UnifiedJedis other = connect(config().database(5).build());
        tell("set", () -> other.set("only", "in 5"));
        tell("not-in-0", () -> c.get("only"));
        tell("no-such", () -> connect(config().database(99).build()).get("only"));
        c.sendCommand(word("ACL"), "SETUSER", "carol", "reset", "on", ">secret", "~c:*", "+@read", "+@connection");
        UnifiedJedis carol = connect(config().user("carol").password("secret").build());
        tell("may", () -> carol.get("c:1"));
        tell("key-denied", () -> carol.get("d:1"));
        tell("command-denied", () -> carol.set("c:1", "x"));
        tell("wrong-password", () -> connect(config().user("carol").password("wrong").build()).get("c:1"));
        carol.close();
        c.sendCommand(word("ACL"), "DELUSER", "carol");
    }

    static void many_threads(UnifiedJedis c) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(20);
        List<Future<Integer>> results = new ArrayList<>();
        for (int t = 0; t < 20; t++) {
            String key = "many:" + t;
            results.add(threads.submit(() -> {
                int wrong = 0;
                for (int n = 0; n < 50; n++) {
                    c.set(key, "" + n);
                    if (!c.get(key).equals("" + n)) wrong++;
                    c.incr("everybody");
                }
                return wrong;
            }));
        }
        for (Future<Integer> each : results) say("wrong", each.get());
        threads.shutdown();
        tell("total", () -> c.get("everybody"));
    }

    public static void main(String[] args) throws Exception {
        address = new HostAndPort(args[0], Integer.parseInt(args[1]));
        mode = args[2];
        clustered = mode.equals("cluster");
        if (args.length > 3 && args[3].equals("2")) protocol = RedisProtocol.RESP2;
        UnifiedJedis c = connect();
        if (!clustered) c.flushAll();
        Map<String, Section> sections = new LinkedHashMap<>();
        sections.put("connecting", Client::connecting);
        sections.put("strings", Client::strings);
        sections.put("binary", Client::binary);
        sections.put("collections", Client::collections);
        sections.put("streams", Client::streams);
        sections.put("scanning", Client::scanning);
        sections.put("pipelines", Client::pipelines);
        sections.put("transactions", Client::transactions);
        sections.put("scripts", Client::scripts);
        sections.put("subscriptions", Client::subscriptions);
        sections.put("blocking", Client::blocking);
        sections.put("errors", Client::failing);
        sections.put("databases_and_users", Client::databases_and_users);
        sections.put("many_threads", Client::many_threads);
        for (Map.Entry<String, Section> each : sections.entrySet()) {
            section = each.getKey();
            each.getValue().run(c);
        }
        section = "end";
        say("done", true);
        for (UnifiedJedis each : opened) each.close();
        System.exit(0);
    }
}
