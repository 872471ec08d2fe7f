import io.lettuce.core.*;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.async.*;
import io.lettuce.core.api.sync.*;
import io.lettuce.core.cluster.*;
import io.lettuce.core.cluster.api.StatefulRedisClusterConnection;
import io.lettuce.core.cluster.api.async.RedisClusterAsyncCommands;
import io.lettuce.core.cluster.api.sync.RedisClusterCommands;
import io.lettuce.core.codec.*;
import io.lettuce.core.output.*;
import io.lettuce.core.protocol.*;
import io.lettuce.core.pubsub.*;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;

/**
 * What people do with Lettuce, as a transcript: Client HOST PORT single|cluster|plain-on-cluster [PROTOCOL]
 *
 * The transcript must be the same whether a server answers or a proxy before it. Nothing in it may depend on chance,
 * ports or time. Lettuce pipelines all that its threads send over one connection.
 */
public class Client {
    static RedisURI uri;
    static String mode, section = "start";
    static ProtocolVersion protocol = ProtocolVersion.RESP3;
    static boolean clustered;
    static final List<AbstractRedisClient> opened = new ArrayList<>();
    static RedisClient plain;

    interface Work { Object run() throws Exception; }

    // ---- clients

    static RedisClient client(RedisURI where) {
        RedisClient client = RedisClient.create(where);
        client.setOptions(ClientOptions.builder().protocolVersion(protocol).autoReconnect(false).build());
        opened.add(client);
        return client;
    }

    static RedisURI.Builder where() {
        return RedisURI.builder().withHost(uri.getHost()).withPort(uri.getPort()).withTimeout(Duration.ofSeconds(20));
    }

    /** A key that shares its slot with others of the same tag where the client itself must care for that. */
    static String tagged(String tag, String key) { return clustered ? "{" + tag + "}" + key : tag + key; }

    // ---- printing

    static String digest(byte[] raw) throws Exception {
        return raw.length + " bytes, sha1 " + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(raw));
    }

    static String shown(Object value) throws Exception {
        if (value instanceof byte[] raw) return raw.length > 300 ? digest(raw) : HexFormat.of().formatHex(raw);
        if (value instanceof Throwable error) return error.getClass().getSimpleName() + " " + error.getMessage();
        if (value instanceof TransactionResult result) return shown(result.stream().toList()) + result.wasDiscarded();
        if (value instanceof Set<?> set) return set.stream().map(String::valueOf).sorted().toList().toString();
        if (value instanceof Collection<?> all) {
            List<String> texts = new ArrayList<>();
            for (Object each : all) texts.add(shown(each));
            return texts.toString();
        }
        if (value instanceof Map<?, ?> map) return new TreeMap<Object, Object>(map).toString();
        return String.valueOf(value);
    }

    static void say(String name, Object value) throws Exception {
        System.out.println(section + "." + name + ": " + shown(value));
    }

    static void tell(String name, Work work) throws Exception {
        Object value;
        try {
            value = work.run();
        } catch (RedisException error) {
            value = error.getCause() instanceof RedisCommandExecutionException cause ? cause : error;
        }
        say(name, value);
    }

    // ---- the work

    static void connecting(RedisClusterCommands<String, String> c) throws Exception {
        section = "connecting";
        tell("ping", c::ping);
        if (clustered) return;
        try (var named = client(where().withClientName("somebody").build()).connect()) {
            tell("name", () -> named.sync().clientGetname());
            tell("info", () -> Arrays.stream(named.sync().clientInfo().trim().split(" "))
                .filter(each -> each.matches("(name|db|user|resp|lib-.*)=.*")).toList());
        }
        tell("echo", () -> c.echo("plain text"));
    }

    static void everyday(RedisClusterCommands<String, String> c) throws Exception {
        section = "everyday";
        tell("set", () -> c.set("s", "v"));
        tell("get", () -> c.get("s"));
        tell("missing", () -> c.get("missing"));
        tell("nx", () -> c.set("s", "w", SetArgs.Builder.nx()));
        tell("ex", () -> c.setex("t", 100, "1"));
        tell("incrby", () -> c.incrby("n", 42));
        tell("incrbyfloat", () -> c.incrbyfloat("f", 0.5));
        tell("mset", () -> c.mset(new TreeMap<>(Map.of(tagged("m", "1"), "a", tagged("m", "2"), "b", tagged("m", "3"), "c"))));
        tell("mget", () -> c.mget(tagged("m", "3"), tagged("m", "none"), tagged("m", "1")));
        tell("exists", () -> c.exists(tagged("m", "1"), tagged("m", "none")));
        tell("touch", () -> c.touch(tagged("m", "1"), tagged("m", "none")));
        tell("del", () -> c.del(tagged("m", "1"), tagged("m", "2"), tagged("m", "none")));
        tell("hset", () -> c.hset("h", new TreeMap<>(Map.of("a", "1", "b", "2", "c d", "three"))));
        tell("hgetall", () -> c.hgetall("h"));
        tell("hmget", () -> c.hmget("h", "a", "none"));
        tell("rpush", () -> c.rpush("l", "a", "b", "c"));
        tell("lrange", () -> c.lrange("l", 0, -1));
        tell("lmpop", () -> c.lmpop(LMPopArgs.Builder.left().count(2), "l"));
        tell("sadd", () -> c.sadd("{s}a", "1", "2", "3") + c.sadd("{s}b", "2", "3", "4"));
        tell("smembers", () -> c.smembers("{s}a"));
        tell("sinter", () -> c.sinter("{s}a", "{s}b"));
        tell("zadd", () -> c.zadd("z", 1.0, "a", 2.5, "b"));
        tell("zrange", () -> c.zrangeWithScores("z", 0, -1));
        tell("zscore", () -> c.zscore("z", "b"));
        tell("zpopmin", () -> c.zpopmin("z"));
        tell("xadd", () -> c.xadd("x", new XAddArgs().id("1-1"), "n", "1"));
        tell("xadd-old", () -> c.xadd("x", new XAddArgs().id("1-1"), "n", "1"));
        tell("xrange", () -> c.xrange("x", Range.unbounded()));
        tell("xgroup", () -> c.xgroupCreate(XReadArgs.StreamOffset.from("x", "0"), "g"));
        tell("xreadgroup", () -> c.xreadgroup(io.lettuce.core.Consumer.from("g", "alice"), XReadArgs.StreamOffset.lastConsumed("x")));
        tell("xread-none", () -> c.xread(XReadArgs.StreamOffset.from("x", "9-1")));
        tell("geoadd", () -> c.geoadd("geo", 13.361389, 38.115556, "Palermo"));
        tell("geopos", () -> c.geopos("geo", "Palermo", "none"));
        tell("object", () -> c.objectEncoding("s"));
    }

    static void scanning(RedisClusterCommands<String, String> c) throws Exception {
        section = "scanning";
        for (int i = 0; i < 300; i++) c.set("scan:" + i, "" + i);
        TreeSet<String> keys = new TreeSet<>();
        ScanIterator.scan(c, ScanArgs.Builder.matches("scan:*").limit(20)).forEachRemaining(keys::add);
        say("scan", keys.size() + " " + digest(keys.toString().getBytes()));
        tell("keys", () -> c.keys("scan:*").size());
    }

    static void pipelines(RedisClusterAsyncCommands<String, String> c) throws Exception {
        section = "pipelines";
        List<RedisFuture<?>> replies = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            replies.add(c.set("p" + i, "v" + i));
            replies.add(c.get("p" + i));
            replies.add(c.rpush("pl" + i % 10, "" + i));
        }
        replies.addAll(List.of(c.incr("p1"), c.get("p1"), c.lpush("p1", "x")));
        StringBuilder all = new StringBuilder();
        for (RedisFuture<?> each : replies) {
            try {
                all.append(each.get(20, TimeUnit.SECONDS)).append(',');
            } catch (ExecutionException error) {
                all.append(error.getCause().getMessage()).append(',');
            }
        }
        say("thousands", digest(all.toString().getBytes()));
        say("end", all.substring(all.length() - 130));
    }

    static void transactions() throws Exception {
        section = "transactions";
        if (clustered) return;
        try (var connection = plain.connect(); var other = plain.connect()) {
            RedisCommands<String, String> c = connection.sync();
            c.multi();
            c.set("{t}a", "1"); c.incr("{t}a"); c.hset("{t}h", "f", "v"); c.hgetall("{t}h"); c.lpush("{t}a", "wrong");
            tell("exec", c::exec);
            c.multi();
            c.set("{t}a", "7");
            tell("refused", () -> c.dispatch(CommandType.GET, new StatusOutput<>(StringCodec.UTF8)));
            tell("aborted", c::exec);
            tell("unchanged", () -> c.get("{t}a"));
            c.watch("{t}a");
            other.sync().set("{t}a", "meanwhile");
            c.multi();
            c.set("{t}a", "mine");
            tell("watch-lost", c::exec);
            c.multi();
            c.set("{t}a", "no");
            tell("discarded", () -> c.discard() + c.get("{t}a"));
        }
    }

    static void scripts(RedisClusterCommands<String, String> c) throws Exception {
        section = "scripts";
        tell("eval", () -> c.eval("return {KEYS[1], ARGV[1], 3, false, {ok='fine'}}", ScriptOutputType.MULTI, new String[] {"{e}k"}, "x"));
        String text = "return redis.call('INCRBY', KEYS[1], ARGV[1])";
        String sha = c.digest(text);
        tell("noscript", () -> c.evalsha(sha, ScriptOutputType.INTEGER, new String[] {"{e}n"}, "5"));
        tell("then-eval", () -> c.eval(text, ScriptOutputType.INTEGER, new String[] {"{e}n"}, "5"));
        tell("evalsha", () -> c.evalsha(sha, ScriptOutputType.INTEGER, new String[] {"{e}n"}, "5"));
        tell("raises", () -> c.eval("error('thrown')", ScriptOutputType.STATUS, new String[] {"{e}k"}));
        tell("load", () -> c.scriptLoad("return 7"));
    }

    static void subscriptions(RedisClusterCommands<String, String> c) throws Exception {
        section = "subscriptions";
        BlockingQueue<String> heard = new LinkedBlockingQueue<>();
        try (StatefulRedisPubSubConnection<String, String> sub = plain.connectPubSub()) {
            sub.addListener(new RedisPubSubAdapter<>() {
                @Override public void message(String channel, String text) { heard.add("message " + channel + " " + text); }
                @Override public void message(String pattern, String channel, String text) { heard.add("pattern " + channel + " " + text); }
                @Override public void subscribed(String channel, long count) { heard.add("subscribed " + channel + " " + count); }
                @Override public void psubscribed(String pattern, long count) { heard.add("psubscribed " + pattern + " " + count); }
                @Override public void unsubscribed(String channel, long count) { heard.add("unsubscribed " + channel + " " + count); }
            });
            sub.sync().subscribe("news", "weather");
            sub.sync().psubscribe("w*");
            for (int i = 0; i < 3; i++) say("heard", heard.poll(5, TimeUnit.SECONDS));
            for (int i = 0; i < 50; i++) c.publish("news", "n" + i);
            List<String> news = new ArrayList<>();
            for (int i = 0; i < 50; i++) news.add(heard.poll(5, TimeUnit.SECONDS));
            if (clustered) Collections.sort(news);      // published over several nodes
            say("news", news);
            c.publish("weather", "rain");
            say("weather", new TreeSet<>(Arrays.asList(heard.poll(5, TimeUnit.SECONDS), heard.poll(5, TimeUnit.SECONDS))));
            sub.sync().unsubscribe("news");
            say("heard", heard.poll(5, TimeUnit.SECONDS));
            tell("ping", () -> sub.sync().ping());
        }
    }

    static void blocking(RedisClusterCommands<String, String> c) throws Exception {
        section = "blocking";
        if (clustered) return;
        try (StatefulRedisConnection<String, String> own = plain.connect()) {
            tell("timeout", () -> own.sync().blpop(0.05, "{b}none"));
            RedisFuture<?> came = own.async().blpop(10, "{b}later");
            c.rpush("{b}later", "came");
            say("comes", came.get(20, TimeUnit.SECONDS));
            c.zadd("{b}z", 2, "z");
            tell("bzpopmin", () -> own.sync().bzpopmin(1, "{b}z"));
        }
    }

    static void binary() throws Exception {
        section = "binary";
        if (clustered) return;
        byte[] all = new byte[256];
        for (int i = 0; i < 256; i++) all[i] = (byte) i;
        try (StatefulRedisConnection<byte[], byte[]> connection = plain.connect(ByteArrayCodec.INSTANCE)) {
            RedisCommands<byte[], byte[]> c = connection.sync();
            tell("set", () -> c.set(all, all));
            tell("get", () -> c.get(all));
            for (int size : new int[] {16383, 65536, 1 << 20, 9 << 20}) {
                byte[] value = new byte[size];
                new Random(size).nextBytes(value);
                tell("set-" + size, () -> c.set("large".getBytes(), value));
                tell("get-" + size, () -> Arrays.equals(c.get("large".getBytes()), value));
            }
            c.del("large".getBytes());
        }
    }

    static void errors(RedisClusterCommands<String, String> c) throws Exception {
        section = "errors";
        c.set("str", "x");
        tell("wrong-type", () -> c.lpush("str", "x"));
        tell("not-a-number", () -> c.incr("str"));
        tell("out-of-range", () -> c.lset("none", 5, "x"));
        tell("still-works", () -> c.get("str"));
    }

    static void databases_and_users(RedisClusterCommands<String, String> c) throws Exception {
        section = "databases_and_users";
        if (!mode.equals("single")) return;
        try (var other = client(where().withDatabase(5).build()).connect()) {
            tell("set", () -> other.sync().set("only", "in 5"));
        }
        tell("not-in-0", () -> c.get("only"));
        tell("no-such", () -> client(where().withDatabase(99).build()).connect().sync().get("only"));
        c.aclSetuser("carol", AclSetuserArgs.Builder.reset().on().addPassword("secret").keyPattern("c:*").addCategory(AclCategory.READ).addCategory(AclCategory.CONNECTION));
        try (var carol = client(where().withAuthentication("carol", "secret").build()).connect()) {
            tell("may", () -> carol.sync().get("c:1"));
            tell("denied", () -> carol.sync().set("c:1", "x"));
        }
        tell("wrong-password", () -> client(where().withAuthentication("carol", "wrong").build()).connect());
        c.aclDeluser("carol");
    }

    static void many_threads(RedisClusterCommands<String, String> c) throws Exception {
        section = "many_threads";
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
        uri = RedisURI.create(args[0], Integer.parseInt(args[1]));
        mode = args[2];
        clustered = mode.equals("cluster");
        if (args.length > 3 && args[3].equals("2")) protocol = ProtocolVersion.RESP2;
        plain = client(where().build());
        RedisClusterCommands<String, String> c;
        RedisClusterAsyncCommands<String, String> async;
        if (clustered) {
            RedisClusterClient cluster = RedisClusterClient.create(where().build());
            cluster.setOptions(ClusterClientOptions.builder().protocolVersion(protocol).build());
            opened.add(cluster);
            StatefulRedisClusterConnection<String, String> connection = cluster.connect();
            c = connection.sync();
            async = connection.async();
        } else {
            StatefulRedisConnection<String, String> connection = plain.connect();
            c = connection.sync();
            async = connection.async();
            c.flushall();
        }
        connecting(c);
        everyday(c);
        binary();
        scanning(c);
        pipelines(async);
        transactions();
        scripts(c);
        subscriptions(c);
        blocking(c);
        errors(c);
        databases_and_users(c);
        many_threads(c);
        section = "end";
        say("done", true);
        System.exit(0);
    }
}
