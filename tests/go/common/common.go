// Package common is what the driver programs of Go share: where to connect, the statements, and the report.
//
// A program runs its scenarios and prints one JSON object, as tests/python/common.py says. A scenario that a driver does
// not offer is {"unsupported": "why"}.
package common

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"

	"github.com/jackc/pgx/v5/pgconn"
)

// The statements that all drivers run.
const (
	Cards        = "SELECT id, number, cvv, expires::text FROM cards WHERE id <= 3 ORDER BY id"
	Customer     = "SELECT id, email, ssn FROM customers WHERE id = $1"
	AddRefund    = "INSERT INTO refunds (payment_id, amount, reason) VALUES (1, 1.50, 'driver test')"
	CountRefunds = "SELECT count(*) FROM refunds WHERE reason = 'driver test'"
	Series       = "SELECT g FROM generate_series(1, 1000000) AS g"
	Endless      = "SELECT count(*) FROM generate_series(1, 10000000000)"
)

func required(name string) string {
	value, found := os.LookupEnv(name)
	if !found {
		fmt.Fprintf(os.Stderr, "the environment variable %s is missing\n", name)
		os.Exit(1)
	}
	return value
}

// Denied is a statement that is refused.
func Denied() string { return required("SLUICE_DENIED") }

// URL is where to connect, with TLS and the name verified.
func URL() string {
	address := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(required("SLUICE_USER"), required("SLUICE_TOKEN")),
		Host:   required("SLUICE_HOST") + ":" + required("SLUICE_PORT"),
		Path:   required("SLUICE_DATABASE"),
	}
	query := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {required("SLUICE_CA")}}
	address.RawQuery = query.Encode()
	return address.String()
}

// Version of a module that the program is built of.
func Version(module string) string {
	build, _ := debug.ReadBuildInfo()
	for _, dependency := range build.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}

// Failure is a database error as a result. Any other error ends the program.
func Failure(err error) any {
	var failed *pgconn.PgError
	if errors.As(err, &failed) {
		return map[string]any{"sqlstate": failed.Code, "message": failed.Message}
	}
	Must(err)
	return nil
}

// Must ends the program if there is an error.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Unsupported says why a driver has no such scenario.
func Unsupported(why string) any { return map[string]any{"unsupported": why} }

// Report has the results by scenario.
type Report map[string]any

// Add takes a result.
func (report Report) Add(scenario string, result any) {
	if _, found := report[scenario]; found {
		panic(scenario + " was reported before")
	}
	report[scenario] = plain(result)
}

// Print writes all of them as JSON.
func (report Report) Print() { Must(json.NewEncoder(os.Stdout).Encode(report)) }

func plain(value any) any {
	switch value := value.(type) {
	case []byte:
		return hex.EncodeToString(value)
	case []any:
		for index := range value {
			value[index] = plain(value[index])
		}
		return value
	case fmt.Stringer:
		return value.String()
	}
	return value
}
