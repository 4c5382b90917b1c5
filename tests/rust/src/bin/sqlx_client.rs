//! sqlx with its pool: it prepares and caches every statement, and asks for binary results.

use anyhow::Result;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::postgres::types::PgRange;
use sqlx::postgres::{
    PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolCopyExt, PgPoolOptions, PgRow, PgSslMode,
};
use sqlx::{AssertSqlSafe, Connection, Error, Executor, Row};

use driver_tests::{ADD_REFUND, CARDS, COUNT_REFUNDS, CUSTOMER, ENDLESS, Options, Report, SERIES, version};

const TYPES: &str = "SELECT $1::float8, $2::uuid, $3::jsonb, $4::int4[], $5::int4range, $6::bytea, $7::bool, $8::timestamptz, \
                     $9::date, $10::text[], ROW(1, 'x'::text)::text, 12.340::numeric::text, NULL::text";

fn failure(error: &Error) -> Value {
    match error.as_database_error() {
        Some(error) => json!({ "sqlstate": error.code(), "message": error.message() }),
        None => panic!("{error}"),
    }
}

fn card(row: &PgRow) -> Value {
    json!([
        row.get::<i64, _>(0),
        row.get::<String, _>(1),
        row.get::<Option<String>, _>(2),
        row.get::<Option<String>, _>(3)
    ])
}

fn customer(row: &PgRow) -> Value {
    json!([row.get::<i64, _>(0), row.get::<String, _>(1), row.get::<String, _>(2)])
}

fn outcome(rows: Result<Vec<PgRow>, Error>, shown: fn(&PgRow) -> Value) -> Value {
    match rows {
        Ok(rows) => rows.iter().map(shown).collect(),
        Err(error) => failure(&error),
    }
}

async fn executed(connection: &mut PgConnection, text: &str) -> Value {
    match connection.execute(AssertSqlSafe(text)).await {
        Ok(done) => done.rows_affected().into(),
        Err(error) => failure(&error),
    }
}

async fn reads(report: &mut Report, connection: &mut PgConnection) -> Result<()> {
    let (mut simple, mut repeated) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        simple.push(outcome(connection.fetch_all(CARDS).await, card));
    }
    report.add("simple", simple);
    for _ in 0..7 {
        repeated.push(outcome(sqlx::query(CUSTOMER).bind(1_i64).fetch_all(&mut *connection).await, customer));
    }
    report.add("prepared", repeated);
    let moment = time::OffsetDateTime::from_unix_timestamp(1_767_322_996)?;
    let row = sqlx::query(TYPES)
        .bind(0.1_f64)
        .bind(sqlx::types::Uuid::from_u128(7))
        .bind(json!({ "a": [1, null] }))
        .bind([1, 2, 3])
        .bind(PgRange::from(1..5))
        .bind(&[0_u8, 255][..])
        .bind(true)
        .bind(moment)
        .bind(moment.date())
        .bind(["a,\"", ""])
        .fetch_one(&mut *connection)
        .await?;
    let types = json!([
        row.get::<f64, _>(0),
        row.get::<sqlx::types::Uuid, _>(1).to_string(),
        row.get::<Value, _>(2),
        row.get::<Vec<i32>, _>(3),
        row.get::<PgRange<i32>, _>(4).to_string(),
        row.get::<Vec<u8>, _>(5),
        row.get::<bool, _>(6),
        row.get::<time::OffsetDateTime, _>(7).to_string(),
        row.get::<time::Date, _>(8).to_string(),
        row.get::<Vec<String>, _>(9),
        row.get::<String, _>(10),
        row.get::<String, _>(11),
        row.get::<Option<String>, _>(12),
    ]);
    report.add("types", types);
    let (mut sum, mut rows) = (0_i64, sqlx::query(SERIES).fetch(&mut *connection));
    while let Some(row) = rows.try_next().await? {
        sum += i64::from(row.get::<i32, _>(0));
    }
    report.add("stream", sum);
    Ok(())
}

async fn copies(report: &mut Report, pool: &PgPool, connection: &mut PgConnection) -> Result<()> {
    let text = "COPY (SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT";
    let out = match pool.copy_out_raw(text).await {
        Ok(stream) => {
            let pieces: Vec<_> = stream.try_collect().await?;
            json!(String::from_utf8_lossy(&pieces.concat()))
        }
        Err(error) => failure(&error),
    };
    report.add("copy_out", out);
    let mut transaction = connection.begin().await?;
    let into = match transaction.copy_in_raw("COPY refunds (payment_id, amount, reason) FROM STDIN").await {
        Ok(mut copy) => {
            copy.send(&b"1\t2.50\tdriver test\n1\t3."[..]).await?;
            copy.send(&b"50\tdriver test\n"[..]).await?;
            json!(copy.finish().await?)
        }
        Err(error) => failure(&error),
    };
    report.add("copy_in", into);
    transaction.rollback().await?;
    Ok(())
}

async fn notifications(report: &mut Report, pool: &PgPool) -> Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    let notify = match listener.listen("driver_tests").await {
        Ok(()) => {
            pool.execute("NOTIFY driver_tests, 'a word'").await?;
            let heard = listener.recv().await?;
            json!([heard.channel(), heard.payload()])
        }
        Err(error) => failure(&error),
    };
    report.add("notify", notify);
    Ok(())
}

async fn transactions(report: &mut Report, connection: &mut PgConnection, denied: &str) -> Result<()> {
    for (name, failing) in [("error", "SELECT 1 / 0"), ("denied", denied)] {
        let mut transaction = connection.begin().await?;
        report.add(&format!("transaction_{name}_insert"), executed(&mut transaction, ADD_REFUND).await);
        report.add(&format!("transaction_{name}"), executed(&mut transaction, failing).await);
        report.add(&format!("transaction_{name}_then"), executed(&mut transaction, "SELECT 1").await);
        transaction.rollback().await?;
        let left: i64 = sqlx::query(COUNT_REFUNDS).fetch_one(&mut *connection).await?.get(0);
        report.add(&format!("transaction_{name}_left"), left);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read()?;
    let connect = PgConnectOptions::new_without_pgpass()
        .host(&options.host)
        .port(options.port)
        .username(&options.user)
        .password(&options.token)
        .database(&options.database)
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(&options.ca);
    let pool = PgPoolOptions::new().max_connections(2).connect_with(connect).await?;
    let mut report = Report::default();
    report.add("about", json!({ "driver": format!("sqlx {}", version("sqlx")), "pool": "PgPool" }));
    let mut connection = pool.acquire().await?;
    reads(&mut report, &mut connection).await?;
    copies(&mut report, &pool, &mut connection).await?;
    executed(&mut connection, "SET statement_timeout = '100ms'").await;
    report.add("timeout", executed(&mut connection, ENDLESS).await);
    executed(&mut connection, "RESET statement_timeout").await;
    transactions(&mut report, &mut connection, &options.denied).await?;
    drop(connection);
    notifications(&mut report, &pool).await?;
    let mut pooled = Vec::new();
    for id in 1_i64..=3 {
        pooled.push(outcome(sqlx::query(CUSTOMER).bind(id).fetch_all(&pool).await, customer));
    }
    report.add("pool", pooled);
    report.unsupported("sqlx has no call for it", &["pipeline", "cursor", "cancel"]);
    pool.close().await;
    report.print();
    Ok(())
}
