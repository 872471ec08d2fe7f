// What people do with go-redis, as a transcript: client HOST PORT single|cluster|plain-on-cluster [PROTOCOL]
//
// The transcript must be the same whether a server answers or a proxy before it. Nothing in it may depend on chance,
// ports or time.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	ctx       = context.Background()
	address   string
	mode      string
	protocol  = 3
	clustered bool
	section   string
)

// ---- clients

func single(change func(*redis.Options)) *redis.Client {
	options := &redis.Options{Addr: address, Protocol: protocol, MaxRetries: -1}
	if change != nil {
		change(options)
	}
	return redis.NewClient(options)
}

func connect() redis.UniversalClient {
	if clustered {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{address}, Protocol: protocol})
	}
	return single(nil)
}

// tagged is a key that shares its slot with others of the same tag where the client itself must care for that.
func tagged(tag, key string) string {
	if clustered {
		return "{" + tag + "}" + key
	}
	return tag + key
}

// ---- printing

func shown(value any) string {
	switch value := value.(type) {
	case error:
		return "error " + strconv.Quote(value.Error())
	case []byte:
		return digest(string(value))
	case string:
		if len(value) > 300 {
			return digest(value)
		}
		return strconv.QuoteToASCII(value)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%v", value)
	}
	return string(text)
}

func say(name string, value any) {
	fmt.Printf("%s.%s: %s\n", section, name, shown(value))
}

// tell prints what a command came to.
func tell(name string, command redis.Cmder) {
	if err := command.Err(); err != nil {
		say(name, err)
		return
	}
	say(name, reflect.ValueOf(command).MethodByName("Val").Call(nil)[0].Interface())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: client HOST PORT single|cluster|plain-on-cluster [PROTOCOL]")
		os.Exit(2)
	}
	address, mode = os.Args[1]+":"+os.Args[2], os.Args[3]
	clustered = mode == "cluster"
	if len(os.Args) > 4 {
		protocol, _ = strconv.Atoi(os.Args[4])
	}
	go func() { // a client that waits without end is a failure with a name
		time.Sleep(100 * time.Second)
		panic("still in " + section)
	}()
	client := connect()
	defer client.Close()
	if !clustered {
		must(client.FlushAll(ctx).Err())
	}
	for _, each := range sections {
		section = each.name
		each.work(client)
	}
	section = "end"
	say("done", true)
}
