package main

import (
	"crypto/sha1"
	"crypto/sha512"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

var sections = []struct {
	name string
	work func(redis.UniversalClient)
}{
	{"connecting", connecting}, {"strings", stringsAndKeys}, {"binary", binary}, {"collections", collections},
	{"streams", streams}, {"scanning", scanning}, {"pipelines", pipelines}, {"transactions", transactions},
	{"scripts", scripts}, {"subscriptions", subscriptions}, {"blocking", blocking}, {"errors", failing},
	{"databases_and_users", databasesAndUsers}, {"many_clients", manyClients},
}

func digest(text string) string {
	return fmt.Sprintf("%d bytes, sha1 %x", len(text), sha1.Sum([]byte(text)))
}

func inOrder(values []string) []string {
	sort.Strings(values)
	return values
}

func connecting(c redis.UniversalClient) {
	tell("ping", c.Ping(ctx))
	if clustered {
		return
	}
	named := single(func(o *redis.Options) { o.ClientName = "somebody"; o.IdentitySuffix = "suffix" })
	defer named.Close()
	tell("name", named.ClientGetName(ctx))
	info, err := named.ClientInfo(ctx).Result()
	must(err)
	say("info", []any{info.Name, info.LibName, info.LibVer, info.User, info.DB, info.Resp})
	tell("echo", c.Echo(ctx, "žluťoučký kůň"))
	conn := named.Conn()
	must(conn.ClientSetName(ctx, "sticky").Err())
	tell("sticky", conn.ClientGetName(ctx))
	must(conn.Close())
}

func stringsAndKeys(c redis.UniversalClient) {
	tell("set", c.Set(ctx, "s", "v", 0))
	tell("get", c.Get(ctx, "s"))
	tell("missing", c.Get(ctx, "missing"))
	tell("nx", c.SetNX(ctx, "s", "w", 0))
	tell("args", c.SetArgs(ctx, "s", "w", redis.SetArgs{Mode: "XX", Get: true}))
	tell("ex", c.Set(ctx, "t", 1, 100*time.Second))
	ttl := c.TTL(ctx, "t").Val()
	say("ttl", ttl > 90*time.Second && ttl <= 100*time.Second)
	tell("persist", c.Persist(ctx, "t"))
	tell("no-ttl", c.TTL(ctx, "t"))
	tell("incr", c.IncrBy(ctx, "n", 42))
	tell("incr-float", c.IncrByFloat(ctx, "f", 0.5))
	tell("append", c.Append(ctx, "s", "-more"))
	tell("range", c.GetRange(ctx, "s", 1, 3))
	tell("getdel", c.GetDel(ctx, "s"))
	tell("mset", c.MSet(ctx, tagged("m", "1"), "a", tagged("m", "2"), "b", tagged("m", "3"), "c"))
	tell("mget", c.MGet(ctx, tagged("m", "3"), tagged("m", "none"), tagged("m", "1")))
	tell("exists", c.Exists(ctx, tagged("m", "1"), tagged("m", "2"), tagged("m", "none")))
	tell("touch", c.Touch(ctx, tagged("m", "1"), tagged("m", "none")))
	tell("del", c.Del(ctx, tagged("m", "1"), tagged("m", "2"), tagged("m", "none")))
	tell("unlink", c.Unlink(ctx, tagged("m", "3")))
	tell("setbit", c.SetBit(ctx, "bits", 7, 1))
	tell("bitfield", c.BitField(ctx, "bits", "INCRBY", "u8", 0, 5, "GET", "u4", 0))
	tell("rename", c.Rename(ctx, "missing", "missing"))
	tell("copy", c.Copy(ctx, "n", "n", 0, true))
	tell("type", c.Type(ctx, "n"))
	tell("dump-restore", c.Restore(ctx, "restored", 0, c.Dump(ctx, "n").Val()))
	tell("restored", c.Get(ctx, "restored"))
}

func binary(c redis.UniversalClient) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	tell("set", c.Set(ctx, string(all), all, 0))
	tell("get", c.Get(ctx, string(all)))
	tell("empty", c.Set(ctx, "empty", "", 0))
	tell("empty-back", c.Get(ctx, "empty"))
	for _, size := range []int{16383, 65536, 1 << 20, 9 << 20} {
		seed := sha512.Sum512([]byte(fmt.Sprint(size)))
		value := strings.Repeat(string(seed[:]), size/64+1)[:size]
		tell(fmt.Sprint("set-", size), c.Set(ctx, "large", value, 0))
		back := c.Get(ctx, "large")
		say(fmt.Sprint("get-", size), back.Val() == value)
	}
	var group sync.WaitGroup
	wrong := make([]bool, 40)
	for i := range wrong {
		group.Add(1)
		go func() {
			defer group.Done()
			key, value := fmt.Sprint("large", i), strings.Repeat(string(rune('a'+i%26)), i*7000)
			wrong[i] = c.Set(ctx, key, value, 0).Err() != nil || c.Get(ctx, key).Val() != value
		}()
	}
	group.Wait()
	say("many-wrong", wrong)
	c.Del(ctx, "large")
}

func collections(c redis.UniversalClient) {
	tell("hset", c.HSet(ctx, "h", "a", 1, "b", 2, "c d", "three"))
	tell("hgetall", c.HGetAll(ctx, "h"))
	tell("hgetall-missing", c.HGetAll(ctx, "missing"))
	tell("hmget", c.HMGet(ctx, "h", "a", "none", "c d"))
	tell("hincrbyfloat", c.HIncrByFloat(ctx, "h", "b", 1.25))
	tell("hdel", c.HDel(ctx, "h", "a", "none"))
	tell("hexists", c.HExists(ctx, "h", "b"))
	tell("hexpire", c.HExpire(ctx, "h", time.Minute, "b")) // newer than the server: its error
	tell("rpush", c.RPush(ctx, "l", "a", "b", "c", "d"))
	tell("lrange", c.LRange(ctx, "l", 0, -1))
	tell("lpos", c.LPos(ctx, "l", "c", redis.LPosArgs{}))
	tell("lpopcount", c.LPopCount(ctx, "l", 2))
	tell("lmove", c.LMove(ctx, "l", "l", "LEFT", "RIGHT"))
	tell("lmpop", c.LMPop(ctx, "LEFT", 10, "l"))
	tell("lpop-missing", c.LPop(ctx, "l"))
	tell("sadd", c.SAdd(ctx, "{s}a", 1, 2, 3))
	c.SAdd(ctx, "{s}b", 2, 3, 4)
	say("smembers", inOrder(c.SMembers(ctx, "{s}a").Val()))
	tell("smembersmap", c.SMembersMap(ctx, "{s}a"))
	tell("smismember", c.SMIsMember(ctx, "{s}a", 1, 9))
	say("sinter", inOrder(c.SInter(ctx, "{s}a", "{s}b").Val()))
	tell("sunionstore", c.SUnionStore(ctx, "{s}c", "{s}a", "{s}b"))
	tell("zadd", c.ZAdd(ctx, "{z}", redis.Z{Score: 1, Member: "a"}, redis.Z{Score: 2.5, Member: "b"}, redis.Z{Score: 3, Member: "c"}))
	tell("zrange", c.ZRangeWithScores(ctx, "{z}", 0, -1))
	tell("zrangeargs", c.ZRangeArgs(ctx, redis.ZRangeArgs{Key: "{z}", Start: "(1", Stop: "+inf", ByScore: true}))
	tell("zscore", c.ZScore(ctx, "{z}", "b"))
	tell("zmscore", c.ZMScore(ctx, "{z}", "a", "none"))
	tell("zincrby", c.ZIncrBy(ctx, "{z}", 0.25, "a"))
	tell("zrank", c.ZRankWithScore(ctx, "{z}", "b")) // newer than the server: its error
	tell("zpopmin", c.ZPopMin(ctx, "{z}", 2))
	tell("pfadd", c.PFAdd(ctx, "hll", "a", "b", "c"))
	tell("pfcount", c.PFCount(ctx, "hll"))
	tell("geoadd", c.GeoAdd(ctx, "geo", &redis.GeoLocation{Name: "Palermo", Longitude: 13.361389, Latitude: 38.115556},
		&redis.GeoLocation{Name: "Catania", Longitude: 15.087269, Latitude: 37.502669}))
	tell("geodist", c.GeoDist(ctx, "geo", "Palermo", "Catania", "km"))
	tell("geopos", c.GeoPos(ctx, "geo", "Palermo", "none"))
}

func streams(c redis.UniversalClient) {
	for i := 1; i <= 5; i++ {
		c.XAdd(ctx, &redis.XAddArgs{Stream: "x", ID: fmt.Sprint(i, "-1"), Values: []any{"n", i, "text", "entry"}})
	}
	tell("xadd-old", c.XAdd(ctx, &redis.XAddArgs{Stream: "x", ID: "1-1", Values: []any{"a", "b"}}))
	tell("xlen", c.XLen(ctx, "x"))
	tell("xrange", c.XRangeN(ctx, "x", "-", "+", 2))
	tell("xread", c.XRead(ctx, &redis.XReadArgs{Streams: []string{"x", "3-1"}, Block: -1}))
	tell("xread-none", c.XRead(ctx, &redis.XReadArgs{Streams: []string{"x", "9-1"}, Block: -1}))
	tell("group", c.XGroupCreate(ctx, "x", "g", "0"))
	tell("group-twice", c.XGroupCreate(ctx, "x", "g", "0"))
	tell("xreadgroup", c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "alice", Streams: []string{"x", ">"}, Count: 2, Block: -1}))
	tell("xack", c.XAck(ctx, "x", "g", "1-1"))
	tell("xpending", c.XPending(ctx, "x", "g"))
	tell("xautoclaim", c.XAutoClaimJustID(ctx, &redis.XAutoClaimArgs{Stream: "x", Group: "g", Start: "0", Consumer: "bob"}))
	tell("xtrim", c.XTrimMaxLen(ctx, "x", 2))
	tell("xinfo", c.XInfoGroups(ctx, "x"))
}

func scanning(c redis.UniversalClient) {
	fields, members, scores := []any{}, []any{}, []redis.Z{}
	for i := range 700 {
		fields = append(fields, fmt.Sprint("f", i), i)
		members = append(members, fmt.Sprint("m", i))
		scores = append(scores, redis.Z{Score: float64(i), Member: fmt.Sprint("m", i)})
	}
	c.HSet(ctx, "scanh", fields...)
	c.SAdd(ctx, "scans", members...)
	c.ZAdd(ctx, "scanz", scores...)
	for i := range 300 {
		c.Set(ctx, fmt.Sprint("scan:", i), i, 0)
	}
	gather := func(name string, iterator *redis.ScanIterator) {
		seen := map[string]bool{}
		for iterator.Next(ctx) {
			seen[iterator.Val()] = true
		}
		must(iterator.Err())
		all := []string{}
		for each := range seen {
			all = append(all, each)
		}
		say(name, digest(strings.Join(inOrder(all), ",")))
	}
	gather("sscan", c.SScan(ctx, "scans", 0, "", 50).Iterator())
	if !clustered {
		gather("scan", c.Scan(ctx, 0, "scan:*", 20).Iterator())
		gather("scan-type", c.ScanType(ctx, 0, "scan*", 1000, "hash").Iterator())
		say("keys", digest(strings.Join(inOrder(c.Keys(ctx, "scan:*").Val()), ",")))
	}
}

func pipelines(c redis.UniversalClient) {
	replies, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range 1000 {
			pipe.Set(ctx, fmt.Sprint("p", i), fmt.Sprint("v", i), 0)
			pipe.Get(ctx, fmt.Sprint("p", i))
			pipe.RPush(ctx, fmt.Sprint("pl", i%10), i)
		}
		return nil
	})
	must(err)
	gathered := []string{}
	for _, each := range replies {
		gathered = append(gathered, each.String())
	}
	say("thousands", digest(strings.Join(gathered, ",")))
	replies, err = c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, "pe", "x", 0)
		pipe.Incr(ctx, "pe")
		pipe.Get(ctx, "pe")
		pipe.LPush(ctx, "pe", "x")
		pipe.Get(ctx, "none")
		return nil
	})
	say("first-error", err)
	for i, each := range replies {
		tell(fmt.Sprint("reply-", i), each)
	}
	var group sync.WaitGroup
	wrong := make([]int, 20)
	for i := range wrong {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range 30 {
				pipe := c.Pipeline()
				pipe.Set(ctx, fmt.Sprint("own", i), n, 0)
				back := pipe.Get(ctx, fmt.Sprint("own", i))
				if _, err := pipe.Exec(ctx); err != nil || back.Val() != fmt.Sprint(n) {
					wrong[i]++
				}
			}
		}()
	}
	group.Wait()
	say("side-by-side-wrong", wrong)
}

func transactions(c redis.UniversalClient) {
	replies, err := c.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, "{t}a", 1, 0)
		pipe.Incr(ctx, "{t}a")
		pipe.HSet(ctx, "{t}h", "f", "v")
		pipe.HGetAll(ctx, "{t}h")
		pipe.LPush(ctx, "{t}a", "wrong")
		return nil
	})
	say("error", err)
	for i, each := range replies {
		tell(fmt.Sprint("reply-", i), each)
	}
	_, err = c.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, "{t}a", 7, 0)
		pipe.Do(ctx, "NOSUCH", "{t}a")
		return nil
	})
	say("aborted", err)
	tell("unchanged", c.Get(ctx, "{t}a"))
	bump := func(tx *redis.Tx) error {
		n, err := tx.Get(ctx, "{t}n").Int()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Set(ctx, "{t}n", n+1, 0)
			return nil
		})
		return err
	}
	var group sync.WaitGroup
	for range 20 {
		group.Add(1)
		go func() {
			defer group.Done()
			for errors.Is(c.Watch(ctx, bump, "{t}n"), redis.TxFailedErr) {
			}
		}()
	}
	group.Wait()
	tell("optimistic", c.Get(ctx, "{t}n"))
}

func scripts(c redis.UniversalClient) {
	tell("eval", c.Eval(ctx, `return {KEYS[1], ARGV[1], 3, false, {ok="fine"}}`, []string{"{e}k"}, "x"))
	tell("noscript", c.EvalSha(ctx, strings.Repeat("0", 40), []string{"{e}k"}))
	script := redis.NewScript(`return redis.call("INCRBY", KEYS[1], ARGV[1])`)
	tell("run", script.Run(ctx, c, []string{"{e}n"}, 5)) // EVALSHA, NOSCRIPT, EVAL
	tell("run-again", script.Run(ctx, c, []string{"{e}n"}, 5))
	tell("error", c.Eval(ctx, `return redis.error_reply("MY own")`, []string{"{e}k"}))
	tell("raises", c.Eval(ctx, `error("thrown")`, []string{"{e}k"}))
	tell("read-only", c.EvalRO(ctx, `return redis.call("GET", KEYS[1])`, []string{"{e}n"}))
	tell("load", c.ScriptLoad(ctx, "return 7"))
	tell("exists", c.ScriptExists(ctx, script.Hash(), strings.Repeat("0", 40)))
	if clustered {
		return
	}
	tell("function", c.FunctionLoadReplace(ctx, "#!lua name=lib\nredis.register_function('f', function(k, a) return {k[1], a[1]} end)"))
	tell("fcall", c.FCall(ctx, "f", []string{"{e}k"}, "z"))
}

func subscriptions(c redis.UniversalClient) {
	pubsub := c.Subscribe(ctx, "news", "weather")
	must(pubsub.PSubscribe(ctx, "w*"))
	for range 3 {
		got, err := pubsub.ReceiveTimeout(ctx, 5*time.Second)
		must(err)
		say("confirmed", fmt.Sprint(got))
	}
	must(pubsub.Ping(ctx, "hello"))
	pong, err := pubsub.ReceiveTimeout(ctx, 5*time.Second)
	must(err)
	say("pong", fmt.Sprint(pong))
	for i := range 50 {
		c.Publish(ctx, "news", fmt.Sprint("n", i))
	}
	c.Publish(ctx, "weather", "rain")
	heard := []string{}
	messages := pubsub.Channel()
	for range 52 {
		heard = append(heard, (<-messages).String())
	}
	if clustered {
		inOrder(heard) // published over several nodes
	}
	inOrder(heard[50:])
	say("heard", heard)
	must(pubsub.Unsubscribe(ctx, "news"))
	must(pubsub.Close())
	shard := c.SSubscribe(ctx, "shard")
	_, err = shard.ReceiveTimeout(ctx, 5*time.Second)
	must(err)
	tell("spublish", c.SPublish(ctx, "shard", "mine"))
	message, err := shard.ReceiveMessage(ctx)
	must(err)
	say("shard", message.String())
	must(shard.Close())
}

func blocking(c redis.UniversalClient) {
	tell("timeout", c.BLPop(ctx, 50*time.Millisecond, "{b}none"))
	c.RPush(ctx, "{b}l", "x")
	tell("there", c.BLPop(ctx, time.Second, "{b}l", "{b}m"))
	waiting := make(chan *redis.StringSliceCmd)
	go func() { waiting <- c.BLPop(ctx, 10*time.Second, "{b}later") }()
	c.RPush(ctx, "{b}later", "came")
	tell("comes", <-waiting)
	c.RPush(ctx, "{b}src", "m")
	tell("blmove", c.BLMove(ctx, "{b}src", "{b}dst", "LEFT", "RIGHT", time.Second))
	c.ZAdd(ctx, "{b}z", redis.Z{Score: 2, Member: "z"})
	tell("bzpopmin", c.BZPopMin(ctx, time.Second, "{b}z"))
	read := make(chan *redis.XStreamSliceCmd)
	c.XAdd(ctx, &redis.XAddArgs{Stream: "{b}x", ID: "1-1", Values: []any{"a", 1}})
	go func() {
		read <- c.XRead(ctx, &redis.XReadArgs{Streams: []string{"{b}x", "1-1"}, Block: 10 * time.Second})
	}()
	c.XAdd(ctx, &redis.XAddArgs{Stream: "{b}x", ID: "2-1", Values: []any{"a", 2}})
	tell("xread", <-read)
}

func failing(c redis.UniversalClient) {
	c.Set(ctx, "str", "x", 0)
	tell("wrong-type", c.LPush(ctx, "str", "x"))
	tell("not-a-number", c.Incr(ctx, "str"))
	tell("unknown", c.Do(ctx, "NOSUCH", "str"))
	tell("arity", c.Do(ctx, "GET"))
	tell("syntax", c.Do(ctx, "SET", "str", "x", "NONSENSE"))
	tell("out-of-range", c.LSet(ctx, "none", 5, "x"))
	tell("still-works", c.Get(ctx, "str"))
}

func databasesAndUsers(c redis.UniversalClient) {
	if mode != "single" {
		return
	}
	other := single(func(o *redis.Options) { o.DB = 5 })
	defer other.Close()
	tell("set", other.Set(ctx, "only", "in 5", 0))
	tell("not-in-0", c.Get(ctx, "only"))
	absent := single(func(o *redis.Options) { o.DB = 99 })
	defer absent.Close()
	tell("no-such", absent.Get(ctx, "only"))
	must(c.Do(ctx, "ACL", "SETUSER", "carol", "reset", "on", ">secret", "~c:*", "+@read", "+@connection").Err())
	carol := single(func(o *redis.Options) { o.Username, o.Password, o.ClientName = "carol", "secret", "c" })
	defer carol.Close()
	tell("may", carol.Get(ctx, "c:1"))
	tell("name", carol.ClientGetName(ctx))
	tell("key-denied", carol.Get(ctx, "d:1"))
	tell("command-denied", carol.Set(ctx, "c:1", "x", 0))
	wrong := single(func(o *redis.Options) { o.Username, o.Password = "carol", "wrong" })
	defer wrong.Close()
	tell("wrong-password", wrong.Get(ctx, "c:1"))
	must(c.Do(ctx, "ACL", "DELUSER", "carol").Err())
}

func manyClients(c redis.UniversalClient) {
	const count = 20
	var group sync.WaitGroup
	wrong := make([]int, count)
	for i := range count {
		group.Add(1)
		go func() {
			defer group.Done()
			own := connect()
			defer own.Close()
			for n := range 50 {
				key := fmt.Sprint("many:", i)
				own.Set(ctx, key, n, 0)
				if own.Get(ctx, key).Val() != fmt.Sprint(n) || own.Incr(ctx, "everybody").Err() != nil {
					wrong[i]++
				}
			}
		}()
	}
	group.Wait()
	say("wrong", wrong)
	tell("total", c.Get(ctx, "everybody"))
}
