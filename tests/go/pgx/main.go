// pgx with its pool, its statement cache and its batches.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	. "sluice/drivers/common"
)

var background = context.Background()

type querier interface {
	Query(ctx context.Context, text string, arguments ...any) (pgx.Rows, error)
}

func outcome(connection querier, text string, arguments ...any) any {
	return collected(connection.Query(background, text, arguments...))
}

func collected(rows pgx.Rows, err error) any {
	if err != nil {
		return Failure(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (any, error) {
		values, err := row.Values()
		return any(values), err
	})
	if err != nil {
		return Failure(err)
	}
	for _, row := range all {
		printable(row.([]any))
	}
	return all
}

// Values that JSON would not show as they are.
func printable(row []any) {
	for index, value := range row {
		switch value.(type) {
		case []byte, nil, string, bool, int64, int32, float64:
		default:
			row[index] = fmt.Sprintf("%v", value)
		}
	}
}

func executed(connection *pgx.Conn, text string) any {
	tag, err := connection.Exec(background, text)
	if err != nil {
		return Failure(err)
	}
	return tag.String()
}

func reads(report Report, connection *pgx.Conn) {
	var simple, extended, repeated []any
	for range 3 {
		simple = append(simple, outcome(connection, Cards, pgx.QueryExecModeSimpleProtocol))
	}
	report.Add("simple", simple)
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		for _, id := range []int64{1, 2, 3} {
			extended = append(extended, outcome(connection, Customer, mode, id))
		}
	}
	report.Add("simple_modes", extended)
	for range 7 {
		repeated = append(repeated, outcome(connection, Customer, int64(1)))
	}
	report.Add("prepared", repeated)
	batch := &pgx.Batch{}
	for _, id := range []int64{1, 2, 3} {
		batch.Queue(Customer, id)
	}
	batch.Queue(Cards)
	results := connection.SendBatch(background, batch)
	var batched []any
	for range batch.Len() {
		batched = append(batched, collected(results.Query()))
	}
	if err := results.Close(); err != nil {
		batched = append(batched, Failure(err))
	}
	report.Add("pipeline", batched)
	types := "SELECT $1::numeric, $2::timestamptz, $3::uuid, $4::jsonb, $5::int4[], $6::int4range, $7::bytea, " +
		"ROW(1, 'x'::text), $8::text[], $9::float8, $10::bool, $11::date, NULL::text, $12::interval, $13::inet"
	moment := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC)
	report.Add("types", outcome(connection, types, "12.340", moment, "00000000-0000-0000-0000-000000000007",
		map[string]any{"a": []any{1, nil}}, []int32{1, 2, 3}, "[1,5)", []byte{0, 255}, []string{"a,\"", ""}, 0.1, true,
		moment, 90*time.Minute, "10.0.0.1"))
}

func copies(report Report, connection *pgx.Conn) {
	var out bytes.Buffer
	for _, format := range []string{"text", "csv", "binary"} {
		out.Reset()
		text := "COPY (SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT (FORMAT " + format + ")"
		_, err := connection.PgConn().CopyTo(background, &out, text)
		switch {
		case err != nil:
			report.Add("copy_out_"+format, Failure(err))
		case format == "binary":
			report.Add("copy_out_"+format, out.Bytes())
		default:
			report.Add("copy_out_"+format, out.String())
		}
	}
	transaction, err := connection.Begin(background)
	Must(err)
	rows := [][]any{{int64(1), "2.50", "driver test"}, {int64(1), "3.50", "driver test"}}
	columns := []string{"payment_id", "amount", "reason"}
	count, err := transaction.CopyFrom(background, pgx.Identifier{"refunds"}, columns, pgx.CopyFromRows(rows))
	if err != nil {
		report.Add("copy_in", Failure(err))
	} else {
		report.Add("copy_in", []any{count, outcome(transaction, CountRefunds)})
	}
	Must(transaction.Rollback(background))
}

func streams(report Report, connection *pgx.Conn) {
	transaction, err := connection.Begin(background)
	Must(err)
	report.Add("cursor_declared", executed(connection, "DECLARE walk CURSOR FOR SELECT id, number FROM cards ORDER BY id"))
	report.Add("cursor_fetched", []any{outcome(transaction, "FETCH 2 FROM walk"), outcome(transaction, "FETCH 2 FROM walk")})
	Must(transaction.Rollback(background))
	rows, err := connection.Query(background, Series)
	Must(err)
	var sum, number int64
	_, err = pgx.ForEachRow(rows, []any{&number}, func() error { sum += number; return nil })
	if err != nil {
		report.Add("stream", Failure(err))
		return
	}
	report.Add("stream", sum)
}

// A query that is cut off by its context: pgx cancels it at the server when it is told to, by its handler.
func stops(report Report) {
	config, err := pgx.ParseConfig(URL())
	Must(err)
	config.BuildContextWatcherHandler = func(connection *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: connection, DeadlineDelay: time.Minute}
	}
	connection, err := pgx.ConnectConfig(background, config)
	Must(err)
	defer connection.Close(background)
	executed(connection, "SET statement_timeout = '100ms'")
	report.Add("timeout", outcome(connection, Endless))
	executed(connection, "RESET statement_timeout")
	short, cancel := context.WithTimeout(background, 100*time.Millisecond)
	defer cancel()
	rows, err := connection.Query(short, Endless)
	report.Add("cancel", collected(rows, err))
	report.Add("cancel_then", outcome(connection, "SELECT 1"))
}

func notifications(report Report, connection *pgx.Conn) {
	if _, err := connection.Exec(background, "LISTEN driver_tests"); err != nil {
		report.Add("notify", Failure(err))
		return
	}
	executed(connection, "NOTIFY driver_tests, 'a word'")
	heard, err := connection.WaitForNotification(background)
	Must(err)
	report.Add("notify", []any{heard.Channel, heard.Payload})
	executed(connection, "UNLISTEN driver_tests")
}

func transactions(report Report, connection *pgx.Conn) {
	for name, failing := range map[string]string{"error": "SELECT 1 / 0", "denied": Denied()} {
		executed(connection, "BEGIN")
		report.Add("transaction_"+name+"_insert", executed(connection, AddRefund))
		report.Add("transaction_"+name, executed(connection, failing))
		report.Add("transaction_"+name+"_then", executed(connection, "SELECT 1"))
		report.Add("transaction_"+name+"_commit", executed(connection, "COMMIT"))
		report.Add("transaction_"+name+"_left", outcome(connection, CountRefunds))
	}
	// A savepoint, and what is left after it.
	err := pgx.BeginFunc(background, connection, func(outer pgx.Tx) error {
		_, err := outer.Exec(background, AddRefund)
		Must(err)
		err = pgx.BeginFunc(background, outer, func(inner pgx.Tx) error {
			_, err := inner.Exec(background, Denied())
			return err
		})
		report.Add("transaction_savepoint", Failure(err))
		report.Add("transaction_savepoint_then", outcome(outer, CountRefunds))
		return errors.New("undone")
	})
	report.Add("transaction_undone", err.Error())
}

func main() {
	report := Report{}
	config, err := pgxpool.ParseConfig(URL())
	Must(err)
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(background, config)
	Must(err)
	version := Version("github.com/jackc/pgx/v5")
	report.Add("about", map[string]any{"driver": "pgx " + version, "pool": "pgxpool " + version})
	acquired, err := pool.Acquire(background)
	Must(err)
	connection := acquired.Conn()
	reads(report, connection)
	copies(report, connection)
	streams(report, connection)
	stops(report)
	notifications(report, connection)
	transactions(report, connection)
	acquired.Release()
	var pooled []any
	for _, id := range []int64{1, 2, 3} {
		pooled = append(pooled, outcome(pool, Customer, id))
	}
	report.Add("pool", pooled)
	pool.Close()
	report.Print()
}
