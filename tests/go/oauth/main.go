// pgx with a token that it sends by SASL, as PostgreSQL 18 takes it (OAUTHBEARER, RFC 7628): one connection and one
// statement, and what came of it as JSON.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/jackc/pgx/v5"

	. "sluice/drivers/common"
)

func reads(ctx context.Context, config *pgx.ConnConfig) any {
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Failure(err)
	}
	defer connection.Close(ctx)
	var email string
	if err := connection.QueryRow(ctx, "SELECT email FROM customers WHERE id = 1").Scan(&email); err != nil {
		return Failure(err)
	}
	return email
}

func main() {
	config, err := pgx.ParseConfig(URL())
	if err != nil {
		panic(err)
	}
	token := config.Password
	config.Password = ""
	config.RuntimeParams["sluice.auth"] = "oauthbearer"
	config.OAuthTokenProvider = func(context.Context) (string, error) { return token, nil }
	json.NewEncoder(os.Stdout).Encode(map[string]any{"read": reads(context.Background(), config)})
}
