//! Passwords from AWS, as a scripted server gives them: the signatures themselves are compared with botocore's in `sign`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;
use testkit::postgres::Authentication;

use super::place::{apply, is_nowhere, is_recorded, is_refused, private, served_by, targets};
use crate::world::World;

/// What was asked: the first line and the headers, and the body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A server that answers each call by what is asked of it.
fn serve(answers: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Asked::default());
    let noting = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the client's to notice.
            let _ = answer(&stream, &noting, &answers);
        }
    });
    (address, asked)
}

fn answer(
    mut stream: &TcpStream,
    asked: &Asked,
    answers: &impl Fn(&str, &str) -> (u16, String),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length =
        head.to_ascii_lowercase().split("content-length: ").nth(1).map(|rest| rest.lines().next().unwrap().parse());
    let mut body = vec![0; length.map_or(0, Result::unwrap)];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    let (status, answer) = answers(&head, &body);
    asked.lock().unwrap().push((head, body));
    write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

fn account(address: SocketAddr, access: &str) -> String {
    format!(
        "[[aws]]\nname = \"prod\"\nregion = \"eu-central-1\"\nsecrets_url = \"http://{address}\"\nsts_url = \"http://{address}\"\n\
         access = {access}\n"
    )
}

const SECRET: &str =
    "password = { aws = \"prod\", secret = \"payments\", field = \"password\", user_field = \"username\" }";

#[test]
fn a_secret_of_secrets_manager_is_read_at_each_use_by_whichever_keys_there_are() {
    let world = World::start(200);
    let login = world.payments.login.clone();
    let current = Arc::new(Mutex::new(login.password.clone()));
    let (told, user) = (Arc::clone(&current), login.user.clone());
    let (address, asked) = serve(move |head, body| {
        let keys = |token: &str| json!({ "AccessKeyId": "ASIAOFROLE", "SecretAccessKey": "of-the-role", token: "session-token" });
        if body.contains("Action=AssumeRoleWithWebIdentity") {
            let result = json!({ "AssumeRoleWithWebIdentityResult": { "Credentials": keys("SessionToken") } });
            return (200, json!({ "AssumeRoleWithWebIdentityResponse": result }).to_string());
        }
        if head.starts_with("GET /of-the-container") {
            return (200, keys("Token").to_string());
        }
        let secret = json!({ "username": user, "password": *told.lock().unwrap() }).to_string();
        (200, json!({ "Name": "payments", "SecretString": secret }).to_string())
    });
    let (key, token) =
        (private(&world, "key", "the-secret-key-of-aws"), private(&world, "token", "a-token-of-the-workload"));
    let (key, token) = (key.display(), token.display());
    let ways = [
        (format!("{{ key_id = \"AKIAOFSLUICE\", secret = {{ file = \"{key}\" }} }}"), "AKIAOFSLUICE"),
        (format!("{{ role_arn = \"arn:aws:iam::1:role/sluice\", token = {{ file = \"{token}\" }} }}"), "ASIAOFROLE"),
        (
            format!("{{ container = \"http://{address}/of-the-container\", token = {{ file = \"{token}\" }} }}"),
            "ASIAOFROLE",
        ),
    ];
    for (access, id) in ways {
        apply(&world, &targets(&world, &account(address, &access), SECRET));
        assert_eq!(served_by(&world), login.user);
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let (head, body) = asked.last().unwrap();
        assert_eq!(body, "{\"SecretId\":\"payments\"}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("x-amz-target: secretsmanager.getsecretvalue"), "{head}");
        assert!(head.contains(&format!("credential={}/", id.to_ascii_lowercase())), "{head}");
        assert_eq!(head.contains("x-amz-security-token: session-token"), id == "ASIAOFROLE", "{head}");
    }
    assert!(is_recorded(&world, "aws:prod:payments"));
    // Rotated: the next login has the new one.
    *current.lock().unwrap() = "rotated-by-aws".to_owned();
    world.server.sql("postgres", &format!("ALTER ROLE {} PASSWORD 'rotated-by-aws'", login.user)).unwrap();
    served_by(&world);
    for secret in ["rotated-by-aws", "the-secret-key-of-aws", "a-token-of-the-workload", "session-token"] {
        is_nowhere(&world, secret);
    }
}

#[test]
fn an_aws_that_refuses_or_answers_nonsense_lets_nobody_in() {
    let world = World::start(200);
    let key = private(&world, "key", "the-secret-key-of-aws");
    let access = format!("{{ key_id = \"AKIAOFSLUICE\", secret = {{ file = \"{}\" }} }}", key.display());
    let said = Arc::new(Mutex::new((400, "{\"__type\":\"AccessDeniedException\"}".to_owned())));
    let saying = Arc::clone(&said);
    let (address, asked) = serve(move |_, _| saying.lock().unwrap().clone());
    apply(&world, &targets(&world, &account(address, &access), SECRET));
    let answers = [
        (400, "{\"__type\":\"AccessDeniedException\"}"),
        (500, "no"),
        (200, "no JSON"),
        (200, "{\"SecretBinary\":\"AAAA\"}"),
        (200, "{\"SecretString\":\"no fields\"}"),
        (200, "{\"SecretString\":\"{\\\"password\\\":\\\"p\\\"}\"}"),
    ];
    for (status, answer) in answers {
        *said.lock().unwrap() = (status, answer.to_owned());
        is_refused(&world);
    }
    assert_eq!(asked.lock().unwrap().len(), answers.len(), "each was asked once");
}

/// RDS cannot be had here: a server that takes passwords in clear, inside TLS, is given what RDS would verify, and refuses it.
#[test]
fn a_token_of_rds_is_given_as_the_password_inside_verified_tls() {
    let world = World::start(200);
    let key = private(&world, "key", "the-secret-key-of-aws");
    let access = format!("{{ key_id = \"AKIAOFSLUICE\", secret = {{ file = \"{}\" }} }}", key.display());
    let login = world.server.login("rds_user", Authentication::Cleartext).unwrap();
    let account = account("127.0.0.1:1".parse().unwrap(), &access);
    let credential = format!("user = \"{}\", password = {{ aws = \"prod\", rds_token = true }}", login.user);
    apply(&world, &targets(&world, &account, &credential));
    is_refused(&world);
    assert!(is_recorded(&world, "rds:prod"));
    is_nowhere(&world, "X-Amz-Signature");
    is_nowhere(&world, "the-secret-key-of-aws");
}
