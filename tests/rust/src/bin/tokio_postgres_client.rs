//! tokio-postgres: everything prepared and in binary, pipelined by asking before an answer came.

use std::time::Duration;

use anyhow::Result;
use futures_util::{SinkExt, StreamExt, TryStreamExt, future, pin_mut};
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Error, Row, SimpleQueryMessage};

use driver_tests::{ADD_REFUND, CARDS, COUNT_REFUNDS, CUSTOMER, ENDLESS, Options, Report, SERIES, version};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

const TYPES: &str = "SELECT $1::text::numeric::text, $2::int8, $3::float8, $4::bool, $5::bytea, $6::int4[], $7::text[], \
                     '{\"a\": [1, null]}'::jsonb::text, ROW(1, 'x'::text)::text, NULL::text";

fn failure(error: &Error) -> Value {
    match error.as_db_error() {
        Some(error) => json!({ "sqlstate": error.code().code(), "message": error.message() }),
        None => panic!("{error}"),
    }
}

async fn simple(client: &Client, text: &str) -> Value {
    let values = |row: tokio_postgres::SimpleQueryRow| -> Vec<Option<String>> {
        (0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect()
    };
    match client.simple_query(text).await {
        Ok(messages) => messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(json!(values(row))),
                SimpleQueryMessage::CommandComplete(count) => Some(json!(count)),
                _ => None,
            })
            .collect(),
        Err(error) => failure(&error),
    }
}

async fn customer(client: &Client, statement: &tokio_postgres::Statement, id: i64) -> Value {
    let values = |row: &Row| json!([row.get::<_, i64>(0), row.get::<_, String>(1), row.get::<_, String>(2)]);
    match client.query(statement, &[&id]).await {
        Ok(rows) => rows.iter().map(values).collect(),
        Err(error) => failure(&error),
    }
}

async fn reads(report: &mut Report, client: &Client) -> Result<()> {
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(simple(client, CARDS).await);
    }
    report.add("simple", runs);
    let statement = client.prepare(CUSTOMER).await?;
    let mut runs = Vec::new();
    for _ in 0..7 {
        runs.push(customer(client, &statement, 1).await);
    }
    report.add("prepared", runs);
    let asked = [1, 2, 3].map(|id| customer(client, &statement, id));
    report.add("pipeline", future::join_all(asked).await);
    let values: [&(dyn ToSql + Sync); 7] =
        [&"12.340", &3_i64, &0.1_f64, &true, &&[0_u8, 255][..], &vec![1, 2, 3], &vec!["a,\"", ""]];
    let row = client.query_one(TYPES, &values).await?;
    let types = json!([
        row.get::<_, String>(0),
        row.get::<_, i64>(1),
        row.get::<_, f64>(2),
        row.get::<_, bool>(3),
        row.get::<_, Vec<u8>>(4),
        row.get::<_, Vec<i32>>(5),
        row.get::<_, Vec<String>>(6),
        row.get::<_, String>(7),
        row.get::<_, String>(8),
        row.get::<_, Option<String>>(9),
    ]);
    report.add("types", types);
    Ok(())
}

async fn copies(report: &mut Report, client: &Client) -> Result<()> {
    let text = "COPY (SELECT id, number, cvv FROM cards WHERE id <= 3 ORDER BY id) TO STDOUT";
    let out = match client.copy_out(text).await {
        Ok(stream) => {
            let pieces: Vec<_> = stream.try_collect().await?;
            json!(String::from_utf8_lossy(&pieces.concat()))
        }
        Err(error) => failure(&error),
    };
    report.add("copy_out", out);
    client.batch_execute("BEGIN").await?;
    let into = match client.copy_in("COPY refunds (payment_id, amount, reason) FROM STDIN").await {
        Ok(sink) => {
            pin_mut!(sink);
            sink.send(bytes::Bytes::from_static(b"1\t2.50\tdriver test\n1\t3.")).await?;
            sink.send(bytes::Bytes::from_static(b"50\tdriver test\n")).await?;
            json!(sink.finish().await?)
        }
        Err(error) => failure(&error),
    };
    report.add("copy_in", into);
    client.batch_execute("ROLLBACK").await?;
    Ok(())
}

async fn cursors(report: &mut Report, client: &mut Client) -> Result<()> {
    let transaction = client.transaction().await?;
    let portal = transaction.bind("SELECT id, number FROM cards ORDER BY id", &[]).await?;
    let mut few = Vec::new();
    for _ in 0..2 {
        let rows = transaction.query_portal(&portal, 2).await?;
        few.extend(rows.iter().map(|row| json!([row.get::<_, i64>(0), row.get::<_, String>(1)])));
    }
    report.add("cursor", few);
    transaction.rollback().await?;
    let rows = client.query_raw(SERIES, std::iter::empty::<i32>()).await?;
    pin_mut!(rows);
    let mut sum = 0;
    while let Some(row) = rows.next().await {
        sum += i64::from(row?.get::<_, i32>(0));
    }
    report.add("stream", sum);
    Ok(())
}

async fn stops(report: &mut Report, client: &Client, tls: MakeRustlsConnect) -> Result<()> {
    client.batch_execute("SET statement_timeout = '100ms'").await?;
    report.add("timeout", simple(client, ENDLESS).await);
    client.batch_execute("RESET statement_timeout").await?;
    let token = client.cancel_token();
    let running = simple(client, ENDLESS);
    pin_mut!(running);
    // However early it is tried first: then again, when the first has long been heeded if it could be. One that comes after
    // the end would cancel the next statement.
    let mut patience = Duration::from_millis(50);
    let outcome = loop {
        match tokio::time::timeout(patience, &mut running).await {
            Ok(outcome) => break outcome,
            Err(_) => token.cancel_query(tls.clone()).await?,
        }
        patience = Duration::from_secs(5);
    };
    report.add("cancel", outcome);
    report.add("cancel_then", simple(client, "SELECT 1").await);
    Ok(())
}

async fn transactions(report: &mut Report, client: &Client, denied: &str) -> Result<()> {
    for (name, failing) in [("error", "SELECT 1 / 0"), ("denied", denied)] {
        client.batch_execute("BEGIN").await?;
        report.add(&format!("transaction_{name}_insert"), simple(client, ADD_REFUND).await);
        let failed = client.execute(failing, &[]).await.err();
        report.add(&format!("transaction_{name}"), failed.map_or(Value::Null, |error| failure(&error)));
        report.add(&format!("transaction_{name}_then"), simple(client, "SELECT 1").await);
        client.batch_execute("COMMIT").await?;
        let left: i64 = client.query_one(COUNT_REFUNDS, &[]).await?.get(0);
        report.add(&format!("transaction_{name}_left"), left);
    }
    Ok(())
}

fn trusting(ca: &std::path::Path) -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    Ok(MakeRustlsConnect::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read()?;
    let tls = trusting(&options.ca)?;
    let mut config = Config::new();
    config.host(&options.host).port(options.port).user(&options.user).dbname(&options.database);
    config.password(&options.token).ssl_mode(tokio_postgres::config::SslMode::Require);
    let (mut client, mut connection) = config.connect(tls.clone()).await?;
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    let task = tokio::spawn(messages.try_for_each(move |message| {
        if let AsyncMessage::Notification(message) = message {
            let _ = tell.send(json!([message.channel(), message.payload()]));
        }
        future::ready(Ok(()))
    }));
    let mut report = Report::default();
    report.add("about", json!({ "driver": format!("tokio-postgres {}", version("tokio-postgres")), "pool": "none" }));
    reads(&mut report, &client).await?;
    copies(&mut report, &client).await?;
    cursors(&mut report, &mut client).await?;
    stops(&mut report, &client, tls).await?;
    let notify = match client.batch_execute("LISTEN driver_tests").await {
        Ok(()) => {
            client.batch_execute("NOTIFY driver_tests, 'a word'").await?;
            heard.recv().await.unwrap_or_default()
        }
        Err(error) => failure(&error),
    };
    report.add("notify", notify);
    transactions(&mut report, &client, &options.denied).await?;
    report.unsupported("tokio-postgres has none", &["pool"]);
    drop(client);
    task.await??;
    report.print();
    Ok(())
}
