//! Scripted peers against each other, and against the real `psql`.

use std::time::Duration;

use anyhow::Result;
use testkit::command::psql;
use testkit::scripted::{self, Peer, ScriptedServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_server_satisfies_psql() -> Result<()> {
    let server = ScriptedServer::start(|mut peer, _| async move {
        peer.read_startup().await?;
        let greeting = [
            scripted::authentication_ok(),
            scripted::parameter_status("client_encoding", "UTF8"),
            scripted::ready_for_query(b'I'),
        ];
        peer.send(&greeting.concat()).await?;
        peer.read_until(b'Q').await?;
        let answer = [
            scripted::row_description(&["answer", "nothing"]),
            scripted::data_row(&[Some(b"42"), None]),
            scripted::command_complete("SELECT 1"),
            scripted::ready_for_query(b'I'),
        ];
        peer.send(&answer.concat()).await?;
        peer.read_to_close().await.map(drop)
    })
    .await?;
    let port = server.address().port().to_string();
    let environment = [("PGHOST", "127.0.0.1"), ("PGPORT", port.as_str()), ("PGSSLMODE", "disable"), ("PGUSER", "a")];
    let output = psql(&["-A", "-t", "-P", "null=NULL", "-c", "SELECT"], &environment)?.success()?;
    assert_eq!(output.trim(), "42|NULL");
    Ok(())
}

#[tokio::test]
async fn a_peer_reports_what_does_not_come() -> Result<()> {
    let server = ScriptedServer::start(|mut peer, number| async move {
        assert_eq!(number, 0);
        assert_eq!(peer.read(8).await?, scripted::ssl_request());
        peer.send_slowly(b"N", Duration::from_millis(1)).await?;
        assert_eq!(peer.read_message().await?.body, b"SELECT 1\0");
        peer.send(&scripted::error_response("FATAL", "57P01", "bye")).await
    })
    .await?;
    let mut client = Peer::connect(server.address()).await?;
    client.send(&scripted::ssl_request()).await?;
    assert_eq!(client.read(1).await?, b"N");
    assert!(client.is_silent_for(Duration::from_millis(50)).await);
    client.send(&scripted::query("SELECT 1")).await?;
    let error = client.read_message().await?;
    assert_eq!(error.tag, b'E');
    assert_eq!(client.read_to_close().await?, b"");
    assert!(client.read(1).await.is_err());
    Ok(())
}
