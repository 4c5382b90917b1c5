// database/sql with pgx's driver for it, and its own pool.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	. "sluice/drivers/common"
)

var background = context.Background()

type querier interface {
	QueryContext(ctx context.Context, text string, arguments ...any) (*sql.Rows, error)
}

func outcome(connection querier, text string, arguments ...any) any {
	return collected(connection.QueryContext(background, text, arguments...))
}

func collected(rows *sql.Rows, err error) any {
	if err != nil {
		return Failure(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	Must(err)
	var all []any
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for index := range values {
			targets[index] = &values[index]
		}
		Must(rows.Scan(targets...))
		for index, value := range values {
			if moment, is := value.(time.Time); is {
				values[index] = moment.UTC().Format(time.RFC3339Nano)
			} else if bytes, is := value.([]byte); is {
				values[index] = fmt.Sprintf("%x", bytes)
			}
		}
		all = append(all, values)
	}
	if err := rows.Err(); err != nil {
		return Failure(err)
	}
	return all
}

func reads(report Report, connection *sql.Conn) {
	var simple, repeated []any
	for range 3 {
		simple = append(simple, outcome(connection, Cards))
	}
	report.Add("simple", simple)
	prepared, err := connection.PrepareContext(background, Customer)
	Must(err)
	for range 7 {
		repeated = append(repeated, collected(prepared.QueryContext(background, int64(1))))
	}
	report.Add("prepared", repeated)
	Must(prepared.Close())
	types := "SELECT $1::numeric, $2::timestamptz, $3::uuid, $4::jsonb, $5::text::int4[], $6::text::int4range, $7::bytea, " +
		"$8::float8, $9::bool, $10::date, NULL::text"
	moment := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC)
	report.Add("types", outcome(connection, types, "12.340", moment, "00000000-0000-0000-0000-000000000007",
		`{"a": [1, null]}`, "{1,2,3}", "[1,5)", []byte{0, 255}, 0.1, true, moment))
}

func streams(report Report, connection *sql.Conn) {
	rows, err := connection.QueryContext(background, Series)
	Must(err)
	defer rows.Close()
	var sum, number int64
	for rows.Next() {
		Must(rows.Scan(&number))
		sum += number
	}
	if err := rows.Err(); err != nil {
		report.Add("stream", Failure(err))
		return
	}
	report.Add("stream", sum)
}

func transactions(report Report, database *sql.DB) {
	for name, failing := range map[string]string{"error": "SELECT 1 / 0", "denied": Denied()} {
		transaction, err := database.BeginTx(background, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		Must(err)
		_, err = transaction.ExecContext(background, AddRefund)
		if err != nil {
			report.Add("transaction_"+name+"_insert", Failure(err))
		}
		_, err = transaction.ExecContext(background, failing)
		report.Add("transaction_"+name, Failure(err))
		report.Add("transaction_"+name+"_then", outcome(transaction, "SELECT 1"))
		report.Add("transaction_"+name+"_commit", fmt.Sprint(transaction.Commit() != nil))
		report.Add("transaction_"+name+"_left", outcome(database, CountRefunds))
	}
}

func main() {
	report := Report{}
	database, err := sql.Open("pgx", URL())
	Must(err)
	database.SetMaxOpenConns(1)
	report.Add("about", map[string]any{
		"driver": "database/sql with pgx " + Version("github.com/jackc/pgx/v5"), "pool": "its own",
	})
	connection, err := database.Conn(background)
	Must(err)
	reads(report, connection)
	streams(report, connection)
	_, err = connection.ExecContext(background, "SET statement_timeout = '100ms'")
	Must(err)
	report.Add("timeout", outcome(connection, Endless))
	_, err = connection.ExecContext(background, "RESET statement_timeout")
	Must(err)
	Must(connection.Close())
	transactions(report, database)
	var pooled []any
	for _, id := range []int64{1, 2, 3} {
		pooled = append(pooled, outcome(database, Customer, id))
	}
	report.Add("pool", pooled)
	for _, scenario := range []string{"pipeline", "copy_out", "copy_in", "cursor", "notify"} {
		report.Add(scenario, Unsupported("database/sql has no call for it"))
	}
	report.Add("cancel", Unsupported("a context that ends closes the connection"))
	Must(database.Close())
	report.Print()
}
