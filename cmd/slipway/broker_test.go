package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// broker is a NATS server that authenticates its users.
type broker struct {
	url      string
	variable string              // that names the file of a user: NATS_NKEY or NATS_CREDS
	users    map[string]natsUser // by name
}

// natsUser is one of them.
type natsUser struct {
	public string // key
	file   string // with the seed
}

// startNKeys starts a server that knows the public keys of the users.
func startNKeys(tb testing.TB, names ...string) broker {
	tb.Helper()
	b := broker{variable: "NATS_NKEY", users: map[string]natsUser{}}
	var options server.Options
	for _, name := range names {
		public, seed := newPair(tb, nkeys.PrefixByteUser)
		b.users[name] = natsUser{public, saved(tb, seed)}
		options.Nkeys = append(options.Nkeys, &server.NkeyUser{Nkey: public})
	}
	b.url = b.start(tb, &options)
	return b
}

// startOperator starts a server that knows an operator, whose account has the
// users: they have credentials, a JWT and a seed.
func startOperator(tb testing.TB, names ...string) broker {
	tb.Helper()
	b := broker{variable: "NATS_CREDS", users: map[string]natsUser{}}
	operatorKey, operatorSeed := newPair(tb, nkeys.PrefixByteOperator)
	operator := pairOf(tb, operatorSeed)
	resolver := &server.MemAccResolver{}
	var accounts [2]string // of the users, and of the system
	var signer nkeys.KeyPair
	for i := range accounts {
		key, seed := newPair(tb, nkeys.PrefixByteAccount)
		claims := jwt.NewAccountClaims(key)
		if i == 0 {
			signer = pairOf(tb, seed)
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
				MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
				MaxAckPending: jwt.NoLimit, MemoryMaxStreamBytes: jwt.NoLimit, DiskMaxStreamBytes: jwt.NoLimit,
			}
		}
		text, err := claims.Encode(operator)
		if err != nil {
			tb.Fatal(err)
		}
		if err := resolver.Store(key, text); err != nil {
			tb.Fatal(err)
		}
		accounts[i] = key
	}
	for _, name := range names {
		public, seed := newPair(tb, nkeys.PrefixByteUser)
		token, err := jwt.NewUserClaims(public).Encode(signer)
		if err != nil {
			tb.Fatal(err)
		}
		creds, err := jwt.FormatUserConfig(token, seed)
		if err != nil {
			tb.Fatal(err)
		}
		b.users[name] = natsUser{public, saved(tb, creds)}
	}
	claims := jwt.NewOperatorClaims(operatorKey)
	claims.SystemAccount = accounts[1]
	b.url = b.start(tb, &server.Options{
		TrustedOperators: []*jwt.OperatorClaims{claims}, AccountResolver: resolver, SystemAccount: accounts[1],
	})
	return b
}

func (broker) start(tb testing.TB, options *server.Options) (url string) {
	tb.Helper()
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	options.JetStream, options.StoreDir = true, tb.TempDir()
	s, err := server.NewServer(options)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		tb.Fatal("the server is not ready")
	}
	return s.ClientURL()
}

func newPair(tb testing.TB, prefix nkeys.PrefixByte) (public string, seed []byte) {
	tb.Helper()
	pair, err := nkeys.CreatePair(prefix)
	if err != nil {
		tb.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		tb.Fatal(err)
	}
	if seed, err = pair.Seed(); err != nil {
		tb.Fatal(err)
	}
	return public, seed
}

func pairOf(tb testing.TB, seed []byte) nkeys.KeyPair {
	tb.Helper()
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		tb.Fatal(err)
	}
	return pair
}

// saved writes what a user has to keep secret.
func saved(tb testing.TB, text []byte) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), strconv.Itoa(len(text)))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}
