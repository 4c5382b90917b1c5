//! E-mail, by a server that takes it inside TLS alone, and read by another's parser.

use mail_parser::{HeaderValue, MessageParser, MimeHeaders};
use serde_json::json;
use testkit::notify::{Mail, MailServer, MailTls};
use testkit::tls::{Authority, CertificateFiles};

use super::*;

const PASSWORD: &str = "smtp-s3cret";

struct Ground {
    dir: Arc<TempDir>,
    files: CertificateFiles,
}

fn ground() -> Ground {
    let dir = dir();
    let authority = Authority::generate("mail test CA").unwrap();
    std::fs::write(dir.path().join("ca.pem"), authority.certificate_pem()).unwrap();
    let files = authority.server(&["localhost", "127.0.0.1"]).unwrap().write(dir.path(), "mail").unwrap();
    Ground { dir, files }
}

fn configured(ground: &Ground, server: &MailServer, more: &str) -> String {
    let password = secret(&ground.dir, "password", PASSWORD);
    format!(
        "[[notify]]\nname = \"mail\"\nkind = \"email\"\nserver = \"localhost:{}\"\nca_file = \"ca.pem\"\nlogin = \"sluice\"\n\
         password = {{ file = \"{password}\" }}\nfrom = \"sluice@example.com\"\nto = [\"dba@example.com\", \"ops@example.com\"]\n\
         {more}",
        server.address().port()
    )
}

/// What a mail says: its headers and its two bodies.
struct Read {
    subject: String,
    id: String,
    references: String,
    plain: String,
    html: String,
}

fn read(mail: &Mail) -> Read {
    let message = MessageParser::default().parse(mail.content.as_bytes()).unwrap();
    assert!(message.content_type().is_some_and(|kind| kind.subtype() == Some("alternative")), "{}", mail.content);
    assert_eq!((message.text_body_count(), message.html_body_count(), message.attachment_count()), (1, 1, 0));
    let references = match message.references() {
        HeaderValue::Text(text) => text.to_string(),
        _ => String::new(),
    };
    Read {
        subject: message.subject().unwrap().to_owned(),
        id: message.message_id().unwrap().to_owned(),
        references,
        plain: message.body_text(0).unwrap().replace("\r\n", "\n"),
        html: message.body_html(0).unwrap().into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_mailed_and_what_became_of_it_follows_in_its_thread() {
    for tls in [MailTls::Start, MailTls::Implicit] {
        let ground = ground();
        let server = MailServer::start(&ground.files, tls, ("sluice", PASSWORD)).await.unwrap();
        let more = if tls == MailTls::Implicit { "tls = \"implicit\"\n" } else { "" };
        let world = World::start_in(Arc::clone(&ground.dir), &configured(&ground, &server, more)).await;
        let id = world.put(asked(1, "DELETE FROM payments"));
        eventually("a mail", || server.mails().len() == 1).await;
        let first = server.mails().remove(0);
        assert_eq!(
            (first.from.as_str(), &*first.to),
            ("sluice@example.com", &["dba@example.com".into(), "ops@example.com".into()][..])
        );
        assert!(first.content.contains("Auto-Submitted: auto-generated\r\n"));
        let first = read(&first);
        assert_eq!(first.subject, format!("[sluice] {id} waits for an answer"));
        for part in ["asked by      sluice|order-service\n", "| DELETE FROM payments\n", "any of sluice|dba"] {
            assert!(first.plain.contains(part) && first.html.contains(part.trim_end()), "{part}: {}", first.plain);
        }
        let path = format!("/v1/approvals/{id}/answer");
        let token = world.token("alice", &["approve", "dba"]);
        assert_eq!(world.post(&path, &token, &json!({ "approve": true })).await.status, 200);
        eventually("a second mail", || server.mails().len() == 2).await;
        let second = read(&server.mails()[1]);
        assert_eq!((second.subject, second.references), (format!("[sluice] {id} is approved"), first.id.clone()));
        assert_ne!(second.id, first.id);
        assert!(second.plain.contains("sluice|alice agreed"));
        assert_eq!(server.refused(), Vec::<String>::new());
        world.stop().await;
    }
}

/// AP-07: a mail shows what was written, and makes nothing of it; and no statement is in a subject.
#[tokio::test(flavor = "multi_thread")]
async fn ap_07_what_is_mailed_cannot_deceive() {
    let ground = ground();
    let server = MailServer::start(&ground.files, MailTls::Start, ("sluice", PASSWORD)).await.unwrap();
    let world = World::start_in(Arc::clone(&ground.dir), &configured(&ground, &server, "")).await;
    let mut question =
        asked(1, "DELETE</pre><a href=\"https://evil.example\">See</a>\u{202e}\n.\nSubject: x\nstatus approved");
    question.subject.id = "x\r\nBcc: evil@example.com".into();
    question.reason = Some("<img src=x onerror=alert(1)> 'quoted' é".into());
    world.put(question);
    eventually("a mail", || server.mails().len() == 1).await;
    let mail = server.mails().remove(0);
    assert_eq!(mail.to.len(), 2);
    let read = read(&mail);
    for part in [
        "| DELETE</pre><a href=\"https://evil.example\">See</a>⟨RLO U+202E⟩\n| .\n| Subject: x\n| status approved\n",
        "x⟨CR U+000D⟩⟨LF U+000A⟩Bcc: evil@example.com",
    ] {
        assert!(read.plain.contains(part), "{part}: {}", read.plain);
    }
    assert!(!read.html.contains("<img") && !read.html.contains("<a href=\"https://evil"), "{}", read.html);
    assert_eq!(read.html.matches("</pre>").count(), 1);
    assert!(!read.subject.contains("DELETE") && !read.subject.contains("Bcc"));
}

/// Without TLS, or with a server that is somebody else, nothing leaves: no mail, and no password.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_mailed_in_clear_or_to_somebody_else() {
    let ground = ground();
    let (none, other) = (Authority::generate("another CA").unwrap(), ground.dir.path().join("other"));
    std::fs::create_dir(&other).unwrap();
    let files = none.server(&["localhost"]).unwrap().write(&other, "mail").unwrap();
    for (files, tls) in [(&ground.files, MailTls::Refused), (&files, MailTls::Start)] {
        let server = MailServer::start(files, tls, ("sluice", PASSWORD)).await.unwrap();
        let world = World::start_in(
            dir(),
            &configured(&ground, &server, "")
                .replace("\"ca.pem\"", &format!("\"{}\"", shown(&ground.dir.path().join("ca.pem")))),
        )
        .await;
        world.put(asked(1, "DELETE FROM payments"));
        eventually("two attempts", || server.connections() >= 2).await;
        assert_eq!(server.mails(), []);
        assert!(
            !server.refused().iter().any(|line| line.contains("AUTH") || line.contains("MAIL")),
            "{:?}",
            server.refused()
        );
        world.stop().await;
    }
}

/// A server that fails gets the mail when it does not, unless nobody waits for an answer any more; why it failed is told
/// without what the server said.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_not_taken_is_sent_again() {
    let ground = ground();
    let server = MailServer::start(&ground.files, MailTls::Start, ("sluice", PASSWORD)).await.unwrap();
    let world = World::start_in(Arc::clone(&ground.dir), &configured(&ground, &server, "")).await;
    server.plan(["451 later"]);
    let id = world.put(asked(1, "DELETE FROM payments"));
    eventually("a mail", || server.mails().len() == 1).await;
    assert!(read(&server.mails()[0]).subject.contains(&id.to_string()));
    let token = world.token("olga", &["operate"]);
    assert_eq!(world.post("/v1/notify/mail/test", &token, &json!({})).await.status, 200);
    assert_eq!(read(&server.mails()[1]).subject, "[sluice] Sluice tells of approvals here");
    secret(&ground.dir, "password", "another");
    let reply = world.post("/v1/notify/mail/test", &token, &json!({})).await;
    assert!(reply.status == 503 && reply.body.contains("535") && !reply.body.contains("secret"), "{}", reply.body);
}
